//! Which addresses belong to nobody in particular, and which to a network that strangers must not lead us into: IANA's special-purpose
//! registries (RFC 6890 and its followers), and IPv6 addresses that carry an IPv4 address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What kind of network an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anybody may be there.
    Public,
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// This link; also where clouds answer questions about the machine.
    LinkLocal,
    /// Shared by a carrier's customers.
    Shared,
    /// Many at once.
    Multicast,
    /// Reserved, for documents, or for nothing.
    Reserved,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Shared => "shared",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        })
    }
}

/// The kind of an address.
pub fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

/// First address, bits of the prefix, kind. Everything else is public.
const V4: &[([u8; 4], u32, Kind)] = &[
    ([0, 0, 0, 0], 8, Kind::Reserved),
    ([10, 0, 0, 0], 8, Kind::Private),
    ([100, 64, 0, 0], 10, Kind::Shared),
    ([127, 0, 0, 0], 8, Kind::Loopback),
    ([169, 254, 0, 0], 16, Kind::LinkLocal),
    ([172, 16, 0, 0], 12, Kind::Private),
    ([192, 0, 0, 0], 24, Kind::Reserved),
    ([192, 0, 2, 0], 24, Kind::Reserved),
    ([192, 31, 196, 0], 24, Kind::Reserved),
    ([192, 52, 193, 0], 24, Kind::Reserved),
    ([192, 88, 99, 0], 24, Kind::Reserved),
    ([192, 168, 0, 0], 16, Kind::Private),
    ([192, 175, 48, 0], 24, Kind::Reserved),
    ([198, 18, 0, 0], 15, Kind::Private),
    ([198, 51, 100, 0], 24, Kind::Reserved),
    ([203, 0, 113, 0], 24, Kind::Reserved),
    ([224, 0, 0, 0], 4, Kind::Multicast),
    ([240, 0, 0, 0], 4, Kind::Reserved),
];

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    let bits = address.to_bits();
    let is_in =
        |(first, prefix, _): &&([u8; 4], u32, Kind)| (bits ^ u32::from_be_bytes(*first)).leading_zeros() >= *prefix;
    V4.iter().find(is_in).map_or(Kind::Public, |(_, _, kind)| *kind)
}

/// The same for IPv6, where only `2000::/3` is given out, less what stands here.
const V6: &[([u16; 4], u32, Kind)] = &[
    ([0x2001, 0, 0, 0], 23, Kind::Reserved),
    ([0x2001, 0xdb8, 0, 0], 32, Kind::Reserved),
    ([0x2620, 0x4f, 0x8000, 0], 48, Kind::Reserved),
    ([0x3fff, 0, 0, 0], 20, Kind::Reserved),
];

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| kind_of_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match [a, b, c, d, e, f] {
        _ if address.is_loopback() => return Kind::Loopback,
        _ if address.is_unspecified() => return Kind::Reserved,
        // IPv4-mapped, IPv4-compatible, IPv4-translated; NAT64's well-known prefix; 6to4. Each leads where the IPv4 address does.
        [0, 0, 0, 0, 0, 0xffff | 0] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => return v4(g, h),
        [0x2002, ..] => return v4(b, c),
        _ => {}
    }
    if a & 0xfe00 == 0xfc00 {
        return Kind::Private;
    }
    if a & 0xffc0 == 0xfe80 || a & 0xffc0 == 0xfec0 {
        return Kind::LinkLocal;
    }
    if a & 0xff00 == 0xff00 {
        return Kind::Multicast;
    }
    if a & 0xe000 != 0x2000 {
        return Kind::Reserved;
    }
    let prefix = |[a, b, c, d]: [u16; 4]| u64::from(a) << 48 | u64::from(b) << 32 | u64::from(c) << 16 | u64::from(d);
    let bits = prefix([a, b, c, d]);
    let is_in = |(first, length, _): &&([u16; 4], u32, Kind)| (bits ^ prefix(*first)).leading_zeros() >= *length;
    V6.iter().find(is_in).map_or(Kind::Public, |(_, _, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_network_is_known_to_its_edges() {
        for (address, expected) in [
            ("1.1.1.1", Kind::Public),
            ("9.255.255.255", Kind::Public),
            ("10.0.0.0", Kind::Private),
            ("10.255.255.255", Kind::Private),
            ("11.0.0.0", Kind::Public),
            ("100.63.255.255", Kind::Public),
            ("100.64.0.1", Kind::Shared),
            ("100.127.255.255", Kind::Shared),
            ("100.128.0.0", Kind::Public),
            ("127.255.255.254", Kind::Loopback),
            ("0.0.0.0", Kind::Reserved),
            ("169.254.169.254", Kind::LinkLocal),
            ("172.15.255.255", Kind::Public),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("172.32.0.0", Kind::Public),
            ("192.168.1.1", Kind::Private),
            ("198.17.255.255", Kind::Public),
            ("198.19.0.1", Kind::Private),
            ("224.0.0.1", Kind::Multicast),
            ("239.255.255.255", Kind::Multicast),
            ("255.255.255.255", Kind::Reserved),
            ("2606:4700::1111", Kind::Public),
            ("2a00::1", Kind::Public),
            ("::", Kind::Reserved),
            ("::1", Kind::Loopback),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::ffff:1.1.1.1", Kind::Public),
            ("::127.0.0.1", Kind::Loopback),
            ("::ffff:0:10.0.0.1", Kind::Private),
            ("64:ff9b::a9fe:a9fe", Kind::LinkLocal),
            ("64:ff9b:1::1", Kind::Reserved),
            ("2002:7f00:1::", Kind::Loopback),
            ("2002:101:101::", Kind::Public),
            ("2001::1", Kind::Reserved),
            ("2001:db8::1", Kind::Reserved),
            ("2001:4860:4860::8888", Kind::Public),
            ("fc00::1", Kind::Private),
            ("fd00:ec2::254", Kind::Private),
            ("fe80::1", Kind::LinkLocal),
            ("fec0::1", Kind::LinkLocal),
            ("ff02::1", Kind::Multicast),
            ("100::1", Kind::Reserved),
            ("4000::1", Kind::Reserved),
            ("3fff:fff::1", Kind::Reserved),
        ] {
            assert_eq!(kind(address.parse().unwrap()), expected, "{address}");
        }
    }
}
