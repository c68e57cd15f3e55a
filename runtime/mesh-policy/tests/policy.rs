//! What must hold of the policy, whatever the members and the order of events.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::time::Duration;

use niphas_mesh_policy::{
    Fault, FileId, Homes, Member, Membership, Name, Need, PART_SIZE, Part, Place, Pursuit, Rate,
    Receivers, Role, Source, Standing, Uploads,
};
use proptest::prelude::*;

fn name(number: usize) -> Name {
    format!("node-{number}").into()
}

fn members(count: usize, zones: usize) -> Vec<Member> {
    let member = |number| Member {
        name: name(number),
        zone: format!("zone-{}", number % zones).into(),
        weight: 1,
    };
    (0..count).map(member).collect()
}

fn part(number: u32) -> Part {
    Part {
        file: FileId::new("https://cache.example.org", &format!("nar/{}", number / 7)),
        index: number % 7,
    }
}

fn homes(membership: &Membership, number: u32, zone: &str) -> Homes {
    membership.homes(part(number), zone, |_| true)
}

/// How many of `parts` parts each member is the first home of.
fn shares(membership: &Membership, parts: u32) -> HashMap<Name, u32> {
    let mut shares = HashMap::new();
    for number in 0..parts {
        let first = homes(membership, number, "").of_all.remove(0);
        *shares.entry(first).or_default() += 1;
    }
    shares
}

#[test]
fn members_are_homes_of_equal_numbers_of_parts() {
    let membership = Membership::new(members(50, 1));
    let shares = shares(&membership, 50_000);
    // 1,000 each; the standard deviation is about 31.
    for (name, share) in &shares {
        assert!((860..1140).contains(share), "{name}: {share}");
    }
    assert_eq!(shares.len(), 50);
}

#[test]
fn weights_are_shares_and_members_without_weight_are_never_homes() {
    let mut members = members(10, 1);
    members[3].weight = 4;
    members[4].weight = 0;
    let membership = Membership::new(members);
    let shares = shares(&membership, 24_000);
    // Weights of 12 in all.
    assert!((7_700..8_300).contains(&shares[&name(3)]), "{shares:?}");
    assert!((1_850..2_150).contains(&shares[&name(5)]), "{shares:?}");
    assert!(!shares.contains_key(&name(4)));
}

#[test]
fn when_a_member_leaves_only_its_own_parts_move() {
    let all = Membership::new(members(20, 3));
    let left = Membership::new(
        members(20, 3)
            .into_iter()
            .filter(|member| member.name != name(7)),
    );
    let mut moved = 0;
    for number in 0..5_000 {
        let zone = format!("zone-{}", number % 3);
        let (before, after) = (homes(&all, number, &zone), homes(&left, number, &zone));
        for (before, after) in [
            (before.of_zone, after.of_zone),
            (before.of_all, after.of_all),
        ] {
            if before[0] == name(7) {
                moved += 1;
                assert_eq!(after[0], before[1], "the second home becomes the first");
            } else {
                assert_eq!(after[0], before[0]);
            }
        }
    }
    assert!(moved > 0);
}

#[test]
fn the_home_of_all_zones_is_the_home_of_its_own() {
    let membership = Membership::new(members(30, 4));
    for number in 0..1_000 {
        let first = homes(&membership, number, "").of_all.remove(0);
        let zone = &membership.get(&first).unwrap().zone;
        assert_eq!(homes(&membership, number, zone).of_zone[0], first);
    }
}

#[test]
fn homes_are_those_of_the_zone_that_are_well() {
    let membership = Membership::new(members(9, 3));
    let homes = membership.homes(part(1), "zone-1", |name| **name != *"node-4");
    let mut of_zone = homes.of_zone.clone();
    of_zone.sort();
    assert_eq!(of_zone, [name(1), name(7)]);
    assert_eq!(homes.of_all.len(), 3);
    assert!(!homes.of_all.contains(&name(4)));
}

#[test]
fn of_members_with_one_name_the_last_counts() {
    let mut twice = members(1, 1);
    twice.push(Member {
        zone: "other".into(),
        ..twice[0].clone()
    });
    let membership = Membership::new(twice);
    assert_eq!(membership.iter().len(), 1);
    assert_eq!(&*membership.get("node-0").unwrap().zone, "other");
    assert_eq!(membership.get("node-1"), None);
}

fn peer(number: usize, role: Role) -> Source {
    Source::Peer {
        name: name(number),
        role,
        avoiding: Vec::new(),
    }
}

#[test]
fn a_node_asks_the_homes_of_its_zone_and_then_the_origin() {
    let homes = Homes {
        of_zone: vec![name(1), name(2)],
        of_all: vec![name(8), name(1)],
        next: Vec::new(),
    };
    let mut pursuit = Pursuit::new(&name(5), &homes, Need::Own);
    assert_eq!(pursuit.source(), peer(1, Role::ZoneHome));
    pursuit.failed();
    assert_eq!(pursuit.source(), peer(2, Role::ZoneHome));
    pursuit.failed();
    assert_eq!(pursuit.source(), Source::Origin);
    // Where the origin fails there may be others that have the part.
    pursuit.failed();
    assert_eq!(pursuit.source(), peer(8, Role::Keeper));
    pursuit.failed();
    assert_eq!(pursuit.source(), Source::Nowhere);
    pursuit.failed();
    assert_eq!(pursuit.source(), Source::Nowhere);
}

#[test]
fn members_that_were_homes_before_others_came_are_asked_last() {
    let membership = Membership::new(members(30, 3));
    let before: Vec<Member> = members(30, 3).into_iter().take(24).collect();
    let before = Membership::new(before);
    let (mut found, mut all) = (0, 0);
    for number in 0..500 {
        let home = homes(&before, number, "zone-0").of_all.remove(0);
        let now = homes(&membership, number, "zone-0");
        let mut pursuit = Pursuit::new(&name(29), &now, Need::Own);
        let mut asked = Vec::new();
        while pursuit.source() != Source::Nowhere {
            if let Source::Peer { name, .. } = pursuit.source() {
                assert!(!asked.contains(&name), "none is asked twice");
                asked.push(name);
            }
            pursuit.failed();
        }
        all += 1;
        found += u32::from(asked.contains(&home));
    }
    // One of 24 members before is not among 11 of 30 now where six others rank higher, which is rare.
    assert!(found * 100 >= all * 99, "{found} of {all}");
}

#[test]
fn the_home_of_a_zone_asks_that_of_all_zones_and_that_asks_the_origin() {
    let homes = Homes {
        of_zone: vec![name(1), name(2)],
        of_all: vec![name(8), name(1)],
        next: Vec::new(),
    };
    for need in [Need::Own, Need::OfZone] {
        let mut pursuit = Pursuit::new(&name(1), &homes, need);
        assert_eq!(pursuit.source(), peer(8, Role::Home));
        pursuit.failed();
        assert_eq!(pursuit.source(), Source::Origin);
    }
    // The second home stands in for the first.
    let mut pursuit = Pursuit::new(&name(2), &homes, Need::Own);
    assert_eq!(pursuit.source(), peer(1, Role::ZoneHome));
    pursuit.failed();
    assert_eq!(pursuit.source(), peer(8, Role::Home));
    // What a peer asks for as of a home is asked of no home of the same rank, whatever this node takes for one.
    let pursuit = Pursuit::new(&name(5), &homes, Need::OfZone);
    assert_eq!(pursuit.source(), peer(8, Role::Home));
    let mut pursuit = Pursuit::new(&name(5), &homes, Need::OfAll);
    assert_eq!(pursuit.source(), peer(8, Role::Keeper));
    pursuit.failed();
    assert_eq!(pursuit.source(), Source::Origin);
}

#[test]
fn a_home_that_came_only_now_asks_the_one_before_it_whether_it_has_the_part() {
    let homes = Homes {
        of_zone: vec![name(1), name(2)],
        of_all: vec![name(1), name(8)],
        next: Vec::new(),
    };
    let mut pursuit = Pursuit::new(&name(1), &homes, Need::Own);
    assert_eq!(pursuit.source(), peer(8, Role::Keeper));
    // It knows of no other, whatever it says.
    pursuit.redirected(name(6));
    assert_eq!(pursuit.source(), Source::Origin);
    pursuit.failed();
    assert_eq!(pursuit.source(), peer(2, Role::Keeper));
    pursuit.failed();
    assert_eq!(pursuit.source(), Source::Nowhere);
}

#[test]
fn what_nothing_verifies_is_asked_of_the_origin_first() {
    let homes = Homes {
        of_zone: vec![name(1), name(2)],
        of_all: vec![name(8), name(1)],
        next: Vec::new(),
    };
    let mut pursuit = Pursuit::origin_first(&name(2), &homes);
    assert!(!pursuit.promote(&homes, Need::OfAll));
    assert_eq!(pursuit.source(), Source::Origin);
    pursuit.failed();
    assert_eq!(pursuit.source(), peer(1, Role::Keeper));
    pursuit.failed();
    assert_eq!(pursuit.source(), peer(8, Role::Keeper));
    pursuit.failed();
    assert_eq!(pursuit.source(), Source::Nowhere);
}

#[test]
fn a_home_that_can_serve_no_more_names_one_that_came_before() {
    let mut receivers = Receivers::new(PART_SIZE);
    assert_eq!(receivers.instead(&name(0), &[]), None);
    tree(&mut receivers, 4);
    assert_eq!(receivers.instead(&name(0), &[]), None);
    assert_eq!(receivers.instead(&name(1), &[]), Some(name(0)));
    assert_eq!(receivers.instead(&name(1), &[name(0)]), None);
    // Of those that serve the fewest the first.
    let mut named = |_| receivers.instead(&name(3), &[]).unwrap();
    let named: Vec<Name> = (0..5).map(&mut named).collect();
    assert_eq!(named, [1, 2, 1, 2, 1].map(name));
}

#[test]
fn bytes_are_sent_at_their_rate_and_what_was_saved_up_at_once() {
    let milliseconds = Duration::from_millis;
    let mut rate = Rate::new(1_000_000);
    let start = milliseconds(5_000);
    // A tenth of a second is saved up.
    let waits = [60_000, 60_000, 500_000, 0].map(|bytes| rate.take(bytes, start));
    assert_eq!(waits, [0, 0, 20, 520].map(milliseconds));
    // Later it is free, and saved no more than before.
    let later = milliseconds(60_000);
    assert_eq!(rate.take(100_000, later), Duration::ZERO);
    assert_eq!(rate.take(1, later), Duration::ZERO);
    assert_eq!(rate.take(1_000_000, later), Duration::from_micros(1));
    let mut slow = Rate::new(0);
    slow.take(u64::MAX, later);
    assert!(slow.take(1, later) > Duration::from_hours(1));
}

#[test]
fn a_node_that_is_asked_as_home_waits_for_no_other_home_of_its_rank() {
    let homes = Homes {
        of_zone: vec![name(1), name(2)],
        of_all: vec![name(8), name(1)],
        next: Vec::new(),
    };
    let mut pursuit = Pursuit::new(&name(5), &homes, Need::Own);
    pursuit.redirected(name(6));
    assert!(!pursuit.promote(&homes, Need::Own));
    let mut of_all = pursuit.clone();
    assert!(pursuit.promote(&homes, Need::OfZone));
    assert_eq!(pursuit.source(), peer(8, Role::Home));
    assert!(!pursuit.promote(&homes, Need::OfZone), "it is that already");
    assert!(pursuit.promote(&homes, Need::OfAll));
    assert_eq!(pursuit.source(), peer(8, Role::Keeper));
    assert!(!pursuit.promote(&homes, Need::OfAll));
    assert!(of_all.promote(&homes, Need::OfAll));
    assert_eq!(of_all.source(), peer(8, Role::Keeper));
    // The first home of the zone does what one has to do that is asked as such.
    let mut home = Pursuit::new(&name(1), &homes, Need::Own);
    assert!(!home.promote(&homes, Need::OfZone));
}

#[test]
fn a_holder_that_fails_leads_back_to_the_home_that_named_it() {
    let homes = Homes {
        of_zone: vec![name(1)],
        of_all: vec![name(1)],
        next: Vec::new(),
    };
    let mut pursuit = Pursuit::new(&name(5), &homes, Need::Own);
    pursuit.redirected(name(6));
    assert_eq!(pursuit.source(), peer(6, Role::Holder));
    pursuit.failed();
    assert_eq!(
        pursuit.source(),
        Source::Peer {
            name: name(1),
            role: Role::ZoneHome,
            avoiding: vec![name(6)],
        }
    );
    // One that failed before is no answer, and neither is the node itself.
    let mut again = pursuit.clone();
    again.redirected(name(6));
    assert_eq!(again.source(), Source::Origin);
    let mut given_up = pursuit.clone();
    given_up.give_up_on_homes();
    assert_eq!(given_up.source(), Source::Origin);
    pursuit.redirected(name(5));
    assert_eq!(pursuit.source(), Source::Origin);
}

/// The tree that a home makes of this many receivers.
fn tree(receivers: &mut Receivers, count: usize) -> HashMap<usize, Option<usize>> {
    let number = |name: Name| name.trim_start_matches("node-").parse().unwrap();
    (0..count)
        .map(|receiver| {
            let place = receivers.place(&name(receiver), &[], Duration::ZERO);
            let parent = match place {
                Place::Here => None,
                Place::At(parent) => Some(number(parent)),
            };
            (receiver, parent)
        })
        .collect()
}

#[test]
fn trees_are_as_flat_as_their_fan_out_allows() {
    let mut receivers = Receivers::new(PART_SIZE);
    let parents = tree(&mut receivers, 1_000);
    let depth = |mut receiver: usize| {
        let mut depth = 1;
        while let Some(parent) = parents[&receiver] {
            receiver = parent;
            depth += 1;
        }
        depth
    };
    // 2 + 4 + … + 512 = 1,022.
    assert_eq!((0..1_000).map(depth).max(), Some(9));
}

#[test]
fn small_parts_come_from_the_home() {
    let parents = tree(&mut Receivers::new(1_000), 1_000);
    assert!(parents.values().all(Option::is_none));
}

#[test]
fn receivers_of_long_ago_are_not_named() {
    let mut receivers = Receivers::new(PART_SIZE);
    tree(&mut receivers, 20);
    let later = Duration::from_hours(1);
    assert_eq!(receivers.place(&name(50), &[], later), Place::Here);
    assert_eq!(receivers.place(&name(51), &[], later), Place::Here);
    assert_eq!(receivers.place(&name(52), &[], later), Place::At(name(50)));
}

#[test]
fn a_peer_that_failed_is_left_alone_for_longer_each_time() {
    let second = Duration::from_secs;
    let (peer, mut standing) = (name(1), Standing::default());
    standing.failed(&peer, Fault::Unreachable, second(0), second(1));
    // Others that were under way count no further.
    standing.failed(&peer, Fault::Unreachable, second(1), second(2));
    assert!(!standing.is_well(&peer, second(5)));
    assert!(standing.is_well(&peer, second(6)));
    standing.failed(&peer, Fault::Unreachable, second(6), second(7));
    assert!(!standing.is_well(&peer, second(16)));
    assert!(standing.is_well(&peer, second(17)));
    assert_eq!(standing.avoided(second(16)), 1);
    standing.served(&peer, second(18));
    standing.failed(&peer, Fault::Unreachable, second(19), second(19));
    assert!(standing.is_well(&peer, second(24)));
    // What came in before it was known does not clear it.
    standing.failed(&peer, Fault::WrongBytes, second(0), second(30));
    standing.served(&peer, second(31));
    assert!(!standing.is_well(&peer, second(600)));
    assert!(standing.is_well(&peer, second(630)));
}

proptest! {
    /// Whatever fails, and whatever peers answer, the origin is asked in the end.
    #[test]
    fn every_pursuit_ends_at_the_origin(answers in prop::collection::vec(prop::option::of(0usize..12), 60), me in 0usize..12, number: u32) {
        let membership = Membership::new(members(12, 3));
        let zone = &membership.get(&name(me)).unwrap().zone;
        let homes = membership.homes(part(number), zone, |_| true);
        let mut pursuit = Pursuit::new(&name(me), &homes, Need::Own);
        let mut steps = 0;
        for answer in answers {
            let Source::Peer { name: asked, avoiding, .. } = pursuit.source() else {
                break;
            };
            prop_assert_ne!(asked, name(me));
            prop_assert!(avoiding.len() <= 3);
            steps += 1;
            match answer {
                Some(other) => pursuit.redirected(name(other)),
                None => pursuit.failed(),
            }
        }
        prop_assert_eq!(pursuit.source(), Source::Origin);
        // Six homes, each with up to four holders.
        prop_assert!(steps <= 6 * 9, "{}", steps);
        for _ in 0..14 {
            pursuit.failed();
        }
        prop_assert_eq!(pursuit.source(), Source::Nowhere);
    }

    /// A receiver waits for one that came before it, however often receivers come again, and serves no more than it may.
    #[test]
    fn trees_have_no_circle_and_no_node_serves_more_than_its_share(
        events in prop::collection::vec((0usize..40, prop::collection::vec(0usize..40, 0..4)), 1..200),
        bytes in 1u64..PART_SIZE,
    ) {
        let mut receivers = Receivers::new(bytes);
        let (mut order, mut served) = (Vec::new(), HashMap::<Name, u32>::new());
        for (receiver, avoiding) in events {
            let receiver = name(receiver);
            if !order.contains(&receiver) {
                order.push(receiver.clone());
            }
            let avoiding: Vec<Name> = avoiding.into_iter().map(name).collect();
            if let Place::At(parent) = receivers.place(&receiver, &avoiding, Duration::ZERO) {
                let place = |name: &Name| order.iter().position(|other| other == name);
                prop_assert!(place(&parent) < place(&receiver));
                prop_assert!(place(&parent).is_some());
                prop_assert!(!avoiding.contains(&parent));
                let served = served.entry(parent).or_default();
                *served += 1;
                prop_assert!(*served <= receivers.fan_out());
            }
        }
        prop_assert!(receivers.fan_out() == 2 || u64::from(receivers.fan_out()) * bytes <= 1 << 20);
    }

    #[test]
    fn uploads_never_exceed_their_limits(events in prop::collection::vec((0usize..5, any::<bool>()), 0..200)) {
        let mut uploads = Uploads::new(6, 2);
        let mut model = HashMap::<usize, usize>::new();
        for (peer, begins) in events {
            let all: usize = model.values().sum();
            let of_peer = model.entry(peer).or_default();
            if begins {
                let may = all < 6 && *of_peer < 2;
                prop_assert_eq!(uploads.begin(&name(peer)), may);
                *of_peer += usize::from(may);
            } else {
                uploads.end(&name(peer));
                *of_peer = of_peer.saturating_sub(1);
            }
            prop_assert_eq!(uploads.len(), model.values().sum::<usize>());
            prop_assert_eq!(uploads.is_empty(), model.values().all(|count| *count == 0));
        }
    }
}
