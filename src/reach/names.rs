//! Names become addresses here, and are checked where the connection is made: the connector gets what was checked and nothing
//! else.

use std::{io, net::IpAddr, net::SocketAddr, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::networks::{Kind, kind};

/// Looks names up.
pub trait Names: Send + Sync {
    /// Every address of a name.
    fn look_up(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// As the system does.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Names for System {
    fn look_up(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) }.boxed()
    }
}

/// A name has an address that is in no public network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address of that name is in no public network")]
pub(super) struct Refused(pub(super) Kind);

/// Gives a name's addresses if every one of them is public.
pub(super) struct Guarded {
    names: Arc<dyn Names>,
}

impl Guarded {
    pub(super) fn new(names: Arc<dyn Names>) -> Self {
        Self { names }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.names.look_up(name.as_str().to_owned());
        async move {
            let addresses = found.await?;
            let forbidden = addresses.iter().map(|address| kind(*address)).find(|kind| *kind != Kind::Public);
            match forbidden {
                Some(kind) => Err(Refused(kind).into()),
                None => Ok(sockets(addresses)),
            }
        }
        .boxed()
    }
}

/// Gives a name's addresses: only for hosts that the operator has allowed.
pub(super) struct Trusting {
    names: Arc<dyn Names>,
}

impl Trusting {
    pub(super) fn new(names: Arc<dyn Names>) -> Self {
        Self { names }
    }
}

impl Resolve for Trusting {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.names.look_up(name.as_str().to_owned());
        async move { Ok(sockets(found.await?)) }.boxed()
    }
}

/// The connector fills in the port.
fn sockets(addresses: Vec<IpAddr>) -> Addrs {
    Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)))
}
