//! What happens, one event after the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use niphas_mesh_policy::{
    Fault, FileId, Homes, Member, Membership, Name, Need, Part, Place, Pursuit, Receivers, Role,
    Source, Standing,
};

use crate::setting::{Outcome, Setting};
use crate::state::{Arrival, Event, Flow, Link, Node, PartInfo, ROLES, Sender};
use crate::{AT_ONCE, CONNECT_TIME};

/// Lets all nodes of a setting get all files.
pub fn simulate(setting: &Setting) -> Outcome {
    let mut model = Model::new(setting);
    for node in 0..setting.nodes {
        let at = setting.starts_within * node as u64 / setting.nodes.max(1) as u64;
        model.nodes[node].start = at;
        model.at(at, Event::Start(node));
    }
    for &(node, at) in &setting.deaths {
        model.at(at, Event::Death(node));
    }
    while let Some(Reverse((now, _, event))) = model.events.pop() {
        model.now = now;
        model.happen(event);
    }
    let nodes = model.nodes.iter();
    let ready = nodes.map(|node| {
        let ready = node.ready.filter(|_| node.is_alive)?;
        Some((ready - node.start) as f64 / 1e9)
    });
    Outcome {
        closure: setting.files.iter().sum(),
        from_origin: model.from_origin,
        across: model.across,
        ready: ready.collect(),
        sent: model.nodes.iter().map(|node| node.sent).collect(),
    }
}

struct Model<'a> {
    setting: &'a Setting,
    now: u64,
    number: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    membership: Membership,
    numbers: HashMap<Name, usize>,
    homes: HashMap<(usize, usize), Rc<Homes>>,
    parts: Vec<PartInfo>,
    nodes: Vec<Node>,
    origin: Link,
    flows: Vec<Flow>,
    from_origin: u64,
    across: u64,
}

impl<'a> Model<'a> {
    fn new(setting: &'a Setting) -> Self {
        let name = |number: usize| Name::from(format!("node-{number}"));
        let node = |number: usize| Node {
            name: name(number),
            zone: number % setting.zones,
            uplink: Link::default(),
            downlink_free: 0,
            arrivals: HashMap::new(),
            standing: Standing::default(),
            next: 0,
            wanted: 0,
            is_alive: true,
            sent: 0,
            start: 0,
            ready: None,
        };
        let nodes: Vec<Node> = (0..setting.nodes).map(node).collect();
        let members = nodes.iter().map(|node| Member {
            name: Name::clone(&node.name),
            zone: node.zone.to_string().into(),
            weight: 1,
        });
        let mut parts = Vec::new();
        for (number, &size) in setting.files.iter().enumerate() {
            let file = FileId::new("https://cache", &format!("nar/{number}"));
            let of_file = (0..).map_while(|index| {
                let part = Part { file, index };
                let bytes = part.size_within(size)?;
                let pieces = bytes.div_ceil(setting.piece).max(1) as u32;
                Some(PartInfo {
                    part,
                    bytes,
                    pieces,
                })
            });
            parts.extend(of_file);
        }
        Self {
            setting,
            now: 0,
            number: 0,
            events: BinaryHeap::new(),
            membership: Membership::new(members),
            numbers: (0..setting.nodes)
                .map(|number| (name(number), number))
                .collect(),
            homes: HashMap::new(),
            parts,
            nodes,
            origin: Link::default(),
            flows: Vec::new(),
            from_origin: 0,
            across: 0,
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((time, self.number, event)));
    }

    fn latency(&self, a: usize, b: usize) -> u64 {
        if self.nodes[a].zone == self.nodes[b].zone {
            self.setting.zone_latency
        } else {
            self.setting.other_latency
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(node) => self.want(node),
            Event::Death(node) => self.die(node),
            Event::Asked {
                node,
                by,
                part,
                role,
                avoiding,
            } => self.asked(node, by, part, ROLES[role as usize], &avoiding),
            Event::OriginAsked { by, part } => self.serve(None, by, part),
            Event::Answered { node, part, peer } => self.answered(node, part, peer),
            Event::Free(sender) => {
                self.link(sender).is_busy = false;
                self.send(sender);
            }
            Event::Piece(flow) => self.arrived(flow),
        }
    }

    /// Has a node ask for the parts that it may ask for now.
    fn want(&mut self, node: usize) {
        if !self.nodes[node].is_alive {
            return;
        }
        while self.nodes[node].wanted < AT_ONCE && self.nodes[node].next < self.parts.len() {
            let part = self.nodes[node].next;
            self.nodes[node].next += 1;
            self.begin(node, part, Need::Own);
            let pieces = self.parts[part].pieces;
            if let Some(arrival) = self.nodes[node].arrivals.get_mut(&part)
                && arrival.here < pieces
            {
                arrival.is_own = true;
                self.nodes[node].wanted += 1;
            }
        }
        let (now, all) = (self.now, self.parts.len());
        let node = &mut self.nodes[node];
        if node.wanted == 0 && node.next == all {
            node.ready.get_or_insert(now);
        }
    }

    fn homes(&mut self, node: usize, part: usize) -> Rc<Homes> {
        let (now, zone) = (Duration::from_nanos(self.now), self.nodes[node].zone);
        let (membership, info) = (&self.membership, &self.parts[part]);
        let standing = &self.nodes[node].standing;
        let find = |is_well: &dyn Fn(&Name) -> bool| {
            Rc::new(membership.homes(info.part, &zone.to_string(), is_well))
        };
        // Where no node fails all nodes of a zone have the same.
        if !self.setting.deaths.is_empty() {
            return find(&|name| standing.is_well(name, now));
        }
        let homes = self.homes.entry((part, zone));
        Rc::clone(homes.or_insert_with(|| find(&|_| true)))
    }

    fn begin(&mut self, node: usize, part: usize, need: Need) {
        if self.nodes[node].arrivals.contains_key(&part) {
            return;
        }
        let homes = if self.setting.with_mesh {
            self.homes(node, part)
        } else {
            Rc::default()
        };
        let bytes = self.parts[part].bytes;
        let arrival = Arrival {
            here: 0,
            pursuit: Pursuit::new(&self.nodes[node].name, &homes, need),
            asked: self.now,
            is_own: false,
            flow: None,
            waiting: Vec::new(),
            receivers: [Receivers::new(bytes), Receivers::new(bytes)],
        };
        self.nodes[node].arrivals.insert(part, arrival);
        self.ask(node, part);
    }

    /// Asks the next source of a part.
    fn ask(&mut self, node: usize, part: usize) {
        let now = self.now;
        let Some(arrival) = self.nodes[node].arrivals.get_mut(&part) else {
            return;
        };
        arrival.asked = now;
        match arrival.pursuit.source() {
            // The model's origin never fails.
            Source::Nowhere => {}
            Source::Origin => {
                let event = Event::OriginAsked { by: node, part };
                self.at(now + self.setting.origin_latency, event);
            }
            Source::Peer {
                name,
                role,
                avoiding,
            } => {
                let peer = self.numbers[&name];
                let role = ROLES.iter().position(|other| *other == role).unwrap_or(2) as u8;
                let event = Event::Asked {
                    node: peer,
                    by: node,
                    part,
                    role,
                    avoiding,
                };
                self.at(now + self.latency(node, peer), event);
            }
        }
    }

    fn asked(&mut self, node: usize, by: usize, part: usize, role: Role, avoiding: &[Name]) {
        let back = self.now + self.latency(node, by);
        let answer = |peer| Event::Answered {
            node: by,
            part,
            peer,
        };
        if !self.nodes[node].is_alive {
            return self.at(self.now + CONNECT_TIME, answer(None));
        }
        let tree = match role {
            Role::Holder if !self.nodes[node].arrivals.contains_key(&part) => {
                return self.at(back, answer(None));
            }
            Role::Keeper if !self.has_all(node, part) => return self.at(back, answer(None)),
            Role::Holder | Role::Keeper => return self.serve(Some(node), by, part),
            Role::ZoneHome => {
                self.asked_as_home(node, by, part, Need::OfZone);
                0
            }
            Role::Home => {
                self.asked_as_home(node, by, part, Need::OfAll);
                1
            }
        };
        let (now, receiver) = (
            Duration::from_nanos(self.now),
            Name::clone(&self.nodes[by].name),
        );
        let Some(arrival) = self.nodes[node].arrivals.get_mut(&part) else {
            return;
        };
        match arrival.receivers[tree].place(&receiver, avoiding, now) {
            Place::Here => self.serve(Some(node), by, part),
            Place::At(peer) => self.at(back, answer(Some(peer))),
        }
    }

    fn has_all(&self, node: usize, part: usize) -> bool {
        let arrival = self.nodes[node].arrivals.get(&part);
        arrival.is_some_and(|arrival| arrival.here >= self.parts[part].pieces)
    }

    fn asked_as_home(&mut self, node: usize, by: usize, part: usize, need: Need) {
        self.begin(node, part, need);
        let has = self.nodes[by].arrivals.get(&part).map_or(0, |of| of.here);
        let homes = self.homes(node, part);
        let pieces = self.parts[part].pieces;
        if let Some(arrival) = self.nodes[node].arrivals.get_mut(&part)
            && arrival.here < pieces
            && arrival.here <= has
            && arrival.pursuit.promote(&homes, need)
        {
            arrival.flow = None;
            self.ask(node, part);
        }
    }

    fn answered(&mut self, node: usize, part: usize, peer: Option<Name>) {
        let now = Duration::from_nanos(self.now);
        let Some(arrival) = self.nodes[node].arrivals.get_mut(&part) else {
            return;
        };
        match (peer, arrival.pursuit.source()) {
            (Some(peer), _) => arrival.pursuit.redirected(peer),
            (None, Source::Peer { name, .. }) => {
                let asked = Duration::from_nanos(arrival.asked);
                arrival.pursuit.failed();
                // One that has not the part is well.
                if !self.nodes[self.numbers[&name]].is_alive {
                    let standing = &mut self.nodes[node].standing;
                    standing.failed(&name, Fault::Unreachable, asked, now);
                }
            }
            (None, Source::Origin | Source::Nowhere) => {}
        }
        self.ask(node, part);
    }

    /// Begins to send a part, from the piece on that its receiver lacks.
    fn serve(&mut self, from: Sender, to: usize, part: usize) {
        let Some(arrival) = self.nodes[to].arrivals.get_mut(&part) else {
            return;
        };
        let flow = self.flows.len();
        arrival.flow = Some(flow);
        let sent = arrival.here;
        self.flows.push(Flow {
            from,
            to,
            part,
            sent,
            arrived: sent,
        });
        self.go_on(flow);
        self.send(from);
    }

    /// Has a flow take its turn, or wait for its next piece.
    fn go_on(&mut self, number: usize) {
        let flow = &self.flows[number];
        if flow.sent == self.parts[flow.part].pieces {
            return;
        }
        if let Some(sender) = flow.from
            && let Some(arrival) = self.nodes[sender].arrivals.get_mut(&flow.part)
            && arrival.here <= flow.sent
        {
            arrival.waiting.push(number);
            return;
        }
        let from = flow.from;
        self.link(from).queue.push_back(number);
    }

    fn link(&mut self, sender: Sender) -> &mut Link {
        match sender {
            Some(node) => &mut self.nodes[node].uplink,
            None => &mut self.origin,
        }
    }

    /// Sends the next piece of the sender's next flow.
    fn send(&mut self, sender: Sender) {
        let link = self.link(sender);
        if link.is_busy {
            return;
        }
        let Some(number) = link.queue.pop_front() else {
            return;
        };
        link.is_busy = true;
        let flow = &mut self.flows[number];
        let (to, part) = (flow.to, flow.part);
        let begin = u64::from(flow.sent) * self.setting.piece;
        flow.sent += 1;
        let bytes = self.setting.piece.min(self.parts[part].bytes - begin);
        let time = |rate: u64| bytes * 1_000_000_000 / rate;
        let (rate, latency) = match sender {
            Some(node) => (self.setting.node_rate, self.latency(node, to)),
            None => (self.setting.origin_rate, self.setting.origin_latency),
        };
        match sender {
            Some(node) => {
                self.nodes[node].sent += bytes;
                if self.nodes[node].zone != self.nodes[to].zone {
                    self.across += bytes;
                }
            }
            None => self.from_origin += bytes,
        }
        let gone = self.now + time(rate);
        let downlink = &mut self.nodes[to].downlink_free;
        *downlink = (self.now + latency).max(*downlink) + time(self.setting.node_rate);
        let arrives = (gone + latency).max(*downlink);
        self.at(arrives, Event::Piece(number));
        self.at(gone, Event::Free(sender));
        self.go_on(number);
    }

    fn arrived(&mut self, number: usize) {
        let flow = &mut self.flows[number];
        flow.arrived += 1;
        let (to, part, here) = (flow.to, flow.part, flow.arrived);
        let is_alive = self.nodes[to].is_alive;
        let Some(arrival) = self.nodes[to].arrivals.get_mut(&part) else {
            return;
        };
        // One that was given up for another.
        if arrival.flow != Some(number) || !is_alive {
            return;
        }
        arrival.here = here;
        let (waiting, is_own) = (std::mem::take(&mut arrival.waiting), arrival.is_own);
        for flow in waiting {
            self.go_on(flow);
        }
        self.send(Some(to));
        if here == self.parts[part].pieces && is_own {
            self.nodes[to].wanted -= 1;
            self.want(to);
        }
    }

    /// Connections of a node that dies break.
    fn die(&mut self, node: usize) {
        self.nodes[node].is_alive = false;
        self.nodes[node].uplink.queue.clear();
        let broken = self.flows.iter().enumerate().filter(|(number, flow)| {
            let arrival = self.nodes[flow.to].arrivals.get(&flow.part);
            let is_last = arrival.is_some_and(|arrival| arrival.flow == Some(*number));
            flow.from == Some(node) && is_last && flow.arrived < self.parts[flow.part].pieces
        });
        let broken: Vec<_> = broken.map(|(_, flow)| (flow.to, flow.part)).collect();
        for (to, part) in broken {
            if let Some(arrival) = self.nodes[to].arrivals.get_mut(&part) {
                arrival.flow = None;
            }
            let event = Event::Answered {
                node: to,
                part,
                peer: None,
            };
            self.at(self.now + self.latency(node, to), event);
        }
    }
}
