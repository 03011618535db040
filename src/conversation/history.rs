//! Items in order; the conversation as the user experienced it.

use std::sync::Arc;

use super::item::{Content, Item};
use crate::ids::ItemId;

/// The items of a conversation, ordered by id, that is, by when each began.
#[derive(Debug, Clone, Default)]
pub struct History {
    items: Vec<Item>,
    newest: ItemId,
}

impl History {
    /// All items, oldest first.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The item of this id, if it stands.
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.find(id).ok().map(|index| &self.items[index])
    }

    /// What the agent is shown: without words nobody heard and speech nobody understood.
    pub fn view(&self) -> Vec<Item> {
        let worth_telling = |item: &&Item| match &item.content {
            Content::Speech { text, .. } => text.is_some(),
            Content::Reply { text, .. } => !text.is_empty(),
            _ => true,
        };
        self.items.iter().filter(worth_telling).cloned().collect()
    }

    /// A fresh id. The item may be put in later; its place in the order is taken now.
    pub(crate) fn allocate(&mut self) -> ItemId {
        self.newest = self.newest.next();
        self.newest
    }

    /// Puts an item in at the place of its id, or replaces what was there.
    pub(crate) fn put(&mut self, id: ItemId, content: Content) -> Item {
        let item = Item { id, content };
        match self.find(id) {
            Ok(index) => self.items[index] = item.clone(),
            Err(index) => self.items.insert(index, item.clone()),
        }
        item
    }

    /// Puts a new item at the end.
    pub(crate) fn push(&mut self, content: Content) -> Item {
        let id = self.allocate();
        self.put(id, content)
    }

    /// Forgets an item.
    pub(crate) fn remove(&mut self, id: ItemId) {
        if let Ok(index) = self.find(id) {
            self.items.remove(index);
        }
    }

    /// Gives a user's speech its words. `None` if it is not there.
    pub(crate) fn set_words(&mut self, id: ItemId, words: Arc<str>, spoken: Arc<str>) -> Option<Item> {
        let index = self.find(id).ok()?;
        if let Content::Speech { text, language, .. } = &mut self.items[index].content {
            *text = Some(words);
            *language = spoken;
        }
        Some(self.items[index].clone())
    }

    fn find(&self, id: ItemId) -> Result<usize, usize> {
        self.items.binary_search_by_key(&id, |item| item.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ResponseId;

    #[test]
    fn order_is_that_of_beginning_not_of_arrival() {
        let mut history = History::default();
        let speech = history.allocate();
        history.push(Content::UserText(Arc::from("typed")));
        history.put(speech, Content::UserText(Arc::from("spoken before")));
        let ids: Vec<u32> = history.items().iter().map(|item| item.id.0).collect();
        assert_eq!(ids, [1, 2]);
    }

    #[test]
    fn the_agent_is_not_shown_what_nobody_heard() {
        let mut history = History::default();
        history.push(Content::Reply { response: ResponseId(1), text: Arc::from(""), interrupted: true });
        history.push(Content::UserText(Arc::from("hello")));
        assert_eq!(history.items().len(), 2);
        assert_eq!(history.view().len(), 1);
    }
}
