//! Items in order; the conversation as the user experienced it.

use std::sync::Arc;

use super::{
    input::Place,
    item::{Content, Item},
    output::ItemRefusal,
};
use crate::ids::{CallId, ItemId};

/// The items of a conversation, ordered by when each began, or where the client put it.
#[derive(Debug, Clone, Default)]
pub struct History {
    items: Vec<Item>,
    /// Every item's place, also of those that are not there yet.
    places: Vec<ItemId>,
    newest: ItemId,
}

impl History {
    /// What was said before, in this order. No id that was given out then will be given out again.
    pub(crate) fn going_on(items: Vec<Item>) -> Self {
        let places: Vec<ItemId> = items.iter().map(|item| item.id).collect();
        let newest = places.iter().copied().filter(|id| !id.is_of_client()).max().unwrap_or_default();
        Self { items, places, newest }
    }

    /// All items, oldest first.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The item of this id, if it stands.
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.find(id).map(|index| &self.items[index])
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

    /// What a reply beside this conversation is shown, and where its own items go: they share the ids, not the places.
    pub(crate) fn beside(&self, items: Vec<Item>) -> Self {
        Self { places: items.iter().map(|item| item.id).collect(), items, newest: self.newest }
    }

    /// No id that the other has given out will be given out here.
    pub(crate) fn share_ids(&mut self, other: &Self) {
        self.newest = self.newest.max(other.newest);
    }

    /// A fresh id. The item may be put in later; its place in the order is taken now.
    pub(crate) fn allocate(&mut self) -> ItemId {
        self.newest = self.newest.next();
        self.places.push(self.newest);
        self.newest
    }

    /// Puts an item in at its place, or replaces what was there. `None` if it has no place: it was removed.
    pub(crate) fn put(&mut self, id: ItemId, content: Content) -> Option<Item> {
        let item = Item { id, content };
        match self.find(id) {
            Some(index) => self.items[index] = item.clone(),
            None => {
                let before = &self.places[..self.places.iter().rposition(|place| *place == id)?];
                let is_before = |item: &Item| before.iter().rev().any(|place| *place == item.id);
                let index = self.items.iter().rposition(is_before).map_or(0, |index| index + 1);
                self.items.insert(index, item.clone());
            }
        }
        Some(item)
    }

    /// Puts a new item at the end.
    pub(crate) fn push(&mut self, content: Content) -> Item {
        let item = Item { id: self.allocate(), content };
        self.items.push(item.clone());
        item
    }

    /// Puts in what a client brought. Gives back the item before it.
    pub(crate) fn insert(&mut self, item: Item, place: Place) -> Result<Option<ItemId>, ItemRefusal> {
        if self.places.contains(&item.id) {
            return Err(ItemRefusal::Duplicate);
        }
        if let Content::ToolOutput { call, .. } = item.content {
            self.check_open(call)?;
        }
        let index = match place {
            Place::End => self.places.len(),
            Place::Front => 0,
            Place::After(id) => self.place_of(id).ok_or(ItemRefusal::UnknownPlace)? + 1,
        };
        self.places.insert(index, item.id);
        let after = self.places[..index].iter().rev().find(|id| self.item(**id).is_some()).copied();
        let Item { id, content } = item;
        self.put(id, content);
        Ok(after)
    }

    /// Forgets an item and its place. False if there was neither.
    pub(crate) fn remove(&mut self, id: ItemId) -> bool {
        let place = self.place_of(id).map(|index| self.places.remove(index));
        if let Some(index) = self.find(id) {
            self.items.remove(index);
        }
        place.is_some()
    }

    /// Whether this call stands and nobody has answered it.
    fn check_open(&self, wanted: CallId) -> Result<(), ItemRefusal> {
        let mut state = Err(ItemRefusal::UnknownCall);
        for item in &self.items {
            match item.content {
                Content::ToolCall { call, .. } if call == wanted => state = Ok(()),
                Content::ToolOutput { call, .. } if call == wanted => state = Err(ItemRefusal::UnknownCall),
                _ => {}
            }
        }
        state
    }

    /// Gives a user's speech its words. `None` if it is not there.
    pub(crate) fn set_words(&mut self, id: ItemId, words: Arc<str>, spoken: Arc<str>) -> Option<Item> {
        let index = self.find(id)?;
        if let Content::Speech { text, language, .. } = &mut self.items[index].content {
            *text = Some(words);
            *language = spoken;
        }
        Some(self.items[index].clone())
    }

    /// From the end, where almost everything happens.
    fn find(&self, id: ItemId) -> Option<usize> {
        self.items.iter().rposition(|item| item.id == id)
    }

    fn place_of(&self, id: ItemId) -> Option<usize> {
        self.places.iter().rposition(|place| *place == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        history.push(Content::Reply { response: None, text: Arc::from(""), interrupted: true });
        history.push(Content::UserText(Arc::from("hello")));
        assert_eq!(history.items().len(), 2);
        assert_eq!(history.view().len(), 1);
    }

    fn insert(history: &mut History, n: u32, place: Place) -> Result<Option<ItemId>, ItemRefusal> {
        history.insert(Item { id: ItemId::of_client(n), content: Content::UserText(Arc::from("typed")) }, place)
    }

    #[test]
    fn a_client_puts_items_where_it_likes() {
        let mut history = History::default();
        let speech = history.allocate();
        let text = history.push(Content::UserText(Arc::from("typed"))).id;
        assert_eq!(insert(&mut history, 1, Place::Front), Ok(None));
        assert_eq!(insert(&mut history, 2, Place::After(ItemId::of_client(1))), Ok(Some(ItemId::of_client(1))));
        assert_eq!(insert(&mut history, 2, Place::End), Err(ItemRefusal::Duplicate));
        assert_eq!(insert(&mut history, 3, Place::After(ItemId(99))), Err(ItemRefusal::UnknownPlace));
        history.put(speech, Content::UserText(Arc::from("spoken before")));
        let order: Vec<ItemId> = history.items().iter().map(|item| item.id).collect();
        assert_eq!(order, [ItemId::of_client(1), ItemId::of_client(2), speech, text]);
    }

    #[test]
    fn what_was_removed_does_not_come_back() {
        let mut history = History::default();
        let reply = history.allocate();
        assert!(history.remove(reply));
        assert_eq!(history.put(reply, Content::UserText(Arc::from("late"))), None);
        assert!(!history.remove(reply));
        assert!(history.items().is_empty());
    }

    #[test]
    fn a_call_is_answered_once() {
        let mut history = History::default();
        let answer = |history: &mut History, n| {
            let content = Content::ToolOutput { call: CallId(1), output: Arc::from("4"), failed: false };
            history.insert(Item { id: ItemId::of_client(n), content }, Place::End)
        };
        assert_eq!(answer(&mut history, 1), Err(ItemRefusal::UnknownCall));
        let (name, arguments) = (Arc::from("add"), Arc::from("{}"));
        history.push(Content::ToolCall { response: None, call: CallId(1), name, arguments });
        assert!(answer(&mut history, 1).is_ok());
        assert_eq!(answer(&mut history, 2), Err(ItemRefusal::UnknownCall));
    }
}
