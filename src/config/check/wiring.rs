//! The engine's own tables: node, sockets, trunks, dialers, media, limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Check;
use crate::config::checked::{Dialer, Inband, Limits, Listener, Media, Node, Refusal, Trunk};
use crate::config::diagnostic::Diagnostic;
use crate::config::draft::{Draft, Located};
use crate::config::file;
use crate::model::codec::Codec;
use crate::model::{DialerName, TrunkName};

/// RTP and RTCP on each of two legs.
const PORTS_PER_CALL: u32 = 4;

impl Check<'_> {
    pub(super) fn node(&mut self, draft: &Draft) -> Option<Node> {
        let node = draft.node.as_ref()?;
        let region = &node.value.default_region;
        self.region(region.get_ref(), node.place(region.span()));
        Some(Node {
            name: node.value.name.as_str().into(),
            default_region: region.get_ref().clone(),
            language: node.value.language.get_ref().clone(),
        })
    }

    pub(super) fn limits(&self, draft: &Draft) -> Option<Limits> {
        let limits = &draft.limits.as_ref()?.value;
        Some(Limits {
            calls_max: limits.calls_max,
            call_max: limits.call_max.0,
            drain_max: limits.drain.0,
        })
    }

    pub(super) fn media(&mut self, draft: &Draft, limits: Option<Limits>) -> Option<Media> {
        let table = draft.media.as_ref()?;
        let ports = table.value.ports.get_ref();
        let count = u32::from(ports.max - ports.min) + 1;
        if let Some(limits) = limits
            && count / PORTS_PER_CALL < limits.calls_max
        {
            let place = table.place(table.value.ports.span());
            let room = count / PORTS_PER_CALL;
            let calls = limits.calls_max;
            self.report(
                Diagnostic::error("E-PORTS", "there are not enough ports for all calls", place)
                    .label(format!("{count} ports carry {room} calls, calls-max is {calls}"))
                    .hint("a call needs four ports: two legs, RTP and RTCP each"),
            );
        }
        let inband = &table.value.inband;
        Some(Media {
            port_min: ports.min,
            port_max: ports.max,
            symmetric: table.value.symmetric,
            tick: table.value.tick.0,
            idle_max: table.value.idle_timeout.0,
            inband: Inband {
                listen: inband.listen,
                level_min_dbm0: inband.level_min,
                twist_forward_max_db: inband.twist_forward_max,
                twist_reverse_max_db: inband.twist_reverse_max,
            },
        })
    }

    pub(super) fn listeners(&mut self, draft: &Draft, media: Option<&Media>) -> Vec<Listener> {
        if let (true, Some(node)) = (draft.listen.is_empty(), &draft.node) {
            self.report(
                Diagnostic::error("E-LISTEN-NONE", "there is no [listen.NAME]", node.at.clone())
                    .label("no signalling socket is defined in any file")
                    .hint("such as: [listen.main] bind = \"127.0.0.1:5060\""),
            );
        }
        let mut listeners: Vec<Listener> = Vec::new();
        let tables = draft.listen.iter().filter_map(|(name, table)| Some((name, table.as_ref()?)));
        for (index, (name, table)) in tables.clone().enumerate() {
            let bind = *table.value.bind.get_ref();
            for (other, earlier) in tables.clone().take(index) {
                self.listens_twice(table, (other, earlier));
            }
            self.listens_in_pool(table, media);
            listeners.push(Listener {
                name: name.clone(),
                bind,
                advertise: self.advertised(table),
                origin: table.at.origin(),
            });
        }
        listeners
    }

    fn listens_twice(
        &mut self,
        table: &Located<file::Listen>,
        (other, earlier): (&str, &Located<file::Listen>),
    ) {
        let (one, two) = (table.value.bind.get_ref(), earlier.value.bind.get_ref());
        let same_ip =
            one.ip() == two.ip() || one.ip().is_unspecified() || two.ip().is_unspecified();
        if one.port() == 0 || one.port() != two.port() || one.is_ipv4() != two.is_ipv4() || !same_ip
        {
            return;
        }
        let place = table.place(table.value.bind.span());
        self.report(
            Diagnostic::error("E-LISTEN-TWICE", "two listeners want one address", place)
                .label(format!("[listen.{other}] has this port"))
                .also(earlier.place(earlier.value.bind.span()), "here"),
        );
    }

    fn listens_in_pool(&mut self, table: &Located<file::Listen>, media: Option<&Media>) {
        let port = table.value.bind.get_ref().port();
        let Some(media) = media else { return };
        if (media.port_min..=media.port_max).contains(&port) {
            let pool = format!("{}-{}", media.port_min, media.port_max);
            let place = table.place(table.value.bind.span());
            self.report(
                Diagnostic::error("E-PORTS", "a listener's port is in the range of RTP", place)
                    .label(format!("media.ports is {pool}"))
                    .hint("take a port outside of it; SIP's own is 5060"),
            );
        }
    }

    fn advertised(&mut self, table: &Located<file::Listen>) -> std::net::IpAddr {
        let bind = table.value.bind.get_ref();
        let Some(advertise) = &table.value.advertise else {
            if bind.ip().is_unspecified() {
                let message = "peers cannot be told this address";
                let place = table.place(table.value.bind.span());
                self.report(
                    Diagnostic::error("E-ADVERTISE", message, place)
                        .label("any address of this machine")
                        .hint("add the one that peers reach: advertise = \"203.0.113.10\""),
                );
            }
            return bind.ip();
        };
        let told = *advertise.get_ref();
        let reason = if told.is_unspecified() || told.is_multicast() {
            Some("nobody can be reached at this address")
        } else if told.is_ipv4() != bind.is_ipv4() {
            Some("`bind` is of the other address family")
        } else {
            None
        };
        if let Some(reason) = reason {
            let message = "peers cannot be told this address";
            let place = table.place(advertise.span());
            self.report(Diagnostic::error("E-ADVERTISE", message, place).label(reason));
        }
        told
    }

    pub(super) fn trunks(
        &mut self,
        draft: &Draft,
        listeners: &[Listener],
    ) -> BTreeMap<TrunkName, Trunk> {
        let mut trunks = BTreeMap::new();
        for (name, table) in &draft.trunks {
            let Some(table) = table else { continue };
            let address = *table.value.host.get_ref();
            self.reachable(table, address);
            let Some(listener) = self.listener_of(draft, table, listeners) else { continue };
            let trunk = Trunk {
                name: name.as_str().into(),
                address,
                listener,
                channels_max: table.value.max_channels,
                caller_ids: table.value.caller_id.clone(),
                // The shape let no other name through.
                codecs: table
                    .value
                    .codecs
                    .iter()
                    .filter_map(|name| Codec::from_name(name))
                    .collect(),
                origin: table.at.origin(),
            };
            trunks.insert(trunk.name.clone(), trunk);
        }
        trunks
    }

    fn reachable(&mut self, table: &Located<file::Trunk>, address: SocketAddr) {
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            let place = table.place(table.value.host.span());
            self.report(
                Diagnostic::error("E-VALUE", "`host` has a value it cannot have", place)
                    .label("nobody can be reached at this address"),
            );
        }
    }

    /// The listener that a trunk's calls leave from: the one it names, else the only one that can.
    fn listener_of(
        &mut self,
        draft: &Draft,
        table: &Located<file::Trunk>,
        listeners: &[Listener],
    ) -> Option<usize> {
        let host = &table.value.host;
        let is_v4 = host.get_ref().is_ipv4();
        let family = if is_v4 { "IPv4" } else { "IPv6" };
        if let Some(typed) = &table.value.listen {
            let place = table.place(typed.span());
            let typed = typed.get_ref();
            self.is_defined("E-LISTEN-UNKNOWN", "listen", &draft.listen, typed, place.clone());
            let index = listeners.iter().position(|listener| listener.name == *typed)?;
            if listeners.get(index)?.bind.is_ipv4() != is_v4 {
                self.report(
                    Diagnostic::error(
                        "E-LISTEN-FAMILY",
                        "the listener cannot reach the host",
                        place,
                    )
                    .label(format!("`host` is {family}, [listen.{typed}] is not")),
                );
            }
            return Some(index);
        }
        let of_family = listeners.iter().enumerate().filter(|(_, l)| l.bind.is_ipv4() == is_v4);
        let fitting: Vec<(usize, &Listener)> = of_family.collect();
        if let [(index, _)] = fitting.as_slice() {
            return Some(*index);
        }
        // A faulty listener was reported already; it may be the one that is missed here.
        if draft.listen.values().all(Option::is_some) && !draft.listen.is_empty() {
            let place = table.place(host.span());
            let names: Vec<&str> = fitting.iter().map(|(_, l)| l.name.as_str()).collect();
            self.report(match names.first() {
                None => {
                    Diagnostic::error("E-LISTEN-FAMILY", "no listener can reach the host", place)
                        .label(format!("`host` is {family}, and no listener is"))
                        .hint(format!("add a [listen.NAME] with an {family} address"))
                }
                Some(first) => Diagnostic::error(
                    "E-LISTEN-WHICH",
                    "several listeners can reach the host",
                    place,
                )
                .label(format!("{} are {family}", names.join(", ")))
                .hint(format!("say which: listen = \"{first}\"")),
            });
        }
        None
    }

    pub(super) fn dialers(
        &mut self,
        draft: &Draft,
        node: Option<&Node>,
    ) -> BTreeMap<DialerName, Dialer> {
        let mut dialers = BTreeMap::new();
        let tables = draft.dialers.iter().filter_map(|(name, table)| Some((name, table.as_ref()?)));
        for (index, (name, table)) in tables.clone().enumerate() {
            for (other, earlier) in tables.clone().take(index) {
                self.dialers_overlap(table, (other, earlier));
            }
            let region = table.value.default_region.as_ref();
            if let Some(region) = region {
                self.region(region.get_ref(), table.place(region.span()));
            }
            let region = region.map(|region| region.get_ref().clone());
            let of_node = || node.map(|node| node.default_region.clone());
            let Some(default_region) = region.or_else(of_node) else { continue };
            let dialer = Dialer {
                name: name.as_str().into(),
                allow: table.value.allow.iter().map(|network| network.get_ref().0).collect(),
                channels_max: table.value.max_channels,
                default_region,
                refusal: Refusal {
                    status: table.value.refusal.status,
                    cause: table.value.refusal.cause,
                },
                outcome_header: table.value.outcome_header.clone(),
                origin: table.at.origin(),
            };
            dialers.insert(dialer.name.clone(), dialer);
        }
        dialers
    }

    fn dialers_overlap(
        &mut self,
        table: &Located<file::Dialer>,
        (other, earlier): (&str, &Located<file::Dialer>),
    ) {
        for mine in &table.value.allow {
            for theirs in &earlier.value.allow {
                if mine.get_ref().0.overlaps(&theirs.get_ref().0) {
                    let message = "two dialers send from one address";
                    let place = table.place(mine.span());
                    self.report(
                        Diagnostic::error("E-DIALER-OVERLAP", message, place)
                            .label(format!("[dialers.{other}] sends from here too"))
                            .also(earlier.place(theirs.span()), "its network")
                            .hint("a dialer is known by its address alone: make them disjoint"),
                    );
                }
            }
        }
    }
}
