//! Images read back, each by a reader that makes Linux's checks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;

use niphas_erofs::{DeviceIndex, Error, Extent, Image, ImageBuilder, MAX_DEVICES};

use support::{Node, Reader, Run};

fn bytes(image: &mut Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, image.length());
    bytes
}

fn tree(image: ImageBuilder) -> BTreeMap<Vec<u8>, Node> {
    Reader::new(&bytes(&mut image.finish().unwrap())).tree()
}

fn names(tree: &BTreeMap<Vec<u8>, Node>) -> Vec<String> {
    tree.keys()
        .map(|path| String::from_utf8(path.clone()).unwrap())
        .collect()
}

/// A tree as a closure's view is: `store` and a link to its first path.
fn small() -> ImageBuilder {
    let mut image = ImageBuilder::new();
    let first = image.device(b"0000000000000001", 4096).unwrap();
    let second = image.device(b"0000000000000002", 513).unwrap();
    image.symlink(b"root", b"store/x-hello").unwrap();
    image.enter(b"store").unwrap();
    image.enter(b"x-hello").unwrap();
    image.enter(b"bin").unwrap();
    image
        .file(b"hello", true, &[Extent::data(700, first, 512)])
        .unwrap();
    image.leave().unwrap();
    image.file(b"empty", false, &[]).unwrap();
    image
        .file(
            b"sparse",
            false,
            &[Extent::hole(1024), Extent::data(1, second, 512)],
        )
        .unwrap();
    image.leave().unwrap();
    image.leave().unwrap();
    image
}

#[test]
fn an_empty_tree_is_a_directory() {
    assert_eq!(
        tree(ImageBuilder::new()),
        BTreeMap::from([(Vec::new(), Node::Directory)])
    );
}

#[test]
fn a_small_tree_reads_back() {
    let bytes = bytes(&mut small().finish().unwrap());
    let reader = Reader::new(&bytes);
    assert_eq!(
        reader.devices(),
        [
            ("0000000000000001".into(), 8),
            ("0000000000000002".into(), 2)
        ]
    );
    let run = |length, device, offset| Run {
        length,
        place: Some((device, offset)),
    };
    let expected = [
        ("", Node::Directory),
        ("/root", Node::Symlink(b"store/x-hello".to_vec())),
        ("/store", Node::Directory),
        ("/store/x-hello", Node::Directory),
        ("/store/x-hello/bin", Node::Directory),
        (
            "/store/x-hello/bin/hello",
            Node::File {
                executable: true,
                size: 700,
                runs: vec![run(700, 0, 512)],
            },
        ),
        (
            "/store/x-hello/empty",
            Node::File {
                executable: false,
                size: 0,
                runs: vec![],
            },
        ),
        (
            "/store/x-hello/sparse",
            Node::File {
                executable: false,
                size: 1025,
                runs: vec![
                    Run {
                        length: 1024,
                        place: None,
                    },
                    run(1, 1, 512),
                ],
            },
        ),
    ];
    assert_eq!(
        reader.tree(),
        expected
            .into_iter()
            .map(|(path, node)| (path.into(), node))
            .collect()
    );
}

#[test]
fn a_small_tree_has_these_bytes() {
    let bytes = bytes(&mut small().finish().unwrap());
    let mut dump = String::new();
    for (number, line) in bytes.chunks(32).enumerate() {
        if line.iter().any(|byte| *byte != 0) {
            let words: Vec<_> = line
                .chunks(4)
                .map(|word| format!("{:08x}", u32::from_le_bytes(word.try_into().unwrap())))
                .collect();
            writeln!(dump, "{:04x} {}", number * 32, words.join(" ")).unwrap();
        }
    }
    // Little-endian numbers of 32 bits. A change of these bytes is a change of what stores keep.
    assert_eq!(dump, include_str!("small.hex"), "{dump}");
}

#[test]
fn equal_trees_are_equal_bytes_and_others_have_another_uuid() {
    let mut image = small().finish().unwrap();
    assert_eq!(bytes(&mut image), bytes(&mut small().finish().unwrap()));
    let mut other = small();
    other.symlink(b"roof", b"store").unwrap();
    assert_ne!(image.uuid(), other.finish().unwrap().uuid());
}

#[test]
fn entries_come_in_any_order() {
    let mut image = ImageBuilder::new();
    for name in ["b", "a", "-", "...", "a.b", "a-b"] {
        image.symlink(name.as_bytes(), b"x").unwrap();
    }
    assert_eq!(
        names(&tree(image)),
        ["", "/-", "/...", "/a", "/a-b", "/a.b", "/b"]
    );
}

#[test]
fn every_byte_but_slash_and_zero_makes_a_name() {
    let mut image = ImageBuilder::new();
    let mut expected = 1;
    for byte in (1..=255).filter(|byte| !b"/.".contains(byte)) {
        image.symlink(&[byte], b"x").unwrap();
        image.symlink(&[b'x', byte, b'.'], b"x").unwrap();
        expected += 2;
    }
    assert_eq!(tree(image).len(), expected);
}

#[test]
fn directories_of_all_lengths_read_back() {
    // Past one block, past the room for a tail, and names of which two do not fit a block.
    for length in [2, 7, 100, 255] {
        for count in (0..60).chain([99]) {
            let mut image = ImageBuilder::new();
            image.enter(b"d").unwrap();
            for number in 0..count {
                image
                    .symlink(format!("{number:0>length$}").as_bytes(), b"x")
                    .unwrap();
            }
            image.leave().unwrap();
            assert_eq!(tree(image).len(), count + 2);
        }
    }
}

#[test]
fn symlinks_of_all_lengths_read_back() {
    let lengths = (1..600).chain([991, 992, 993, 1023, 1024, 1025, 4094, 4095]);
    let mut image = ImageBuilder::new();
    for length in lengths.clone() {
        image
            .symlink(format!("{length:04}").as_bytes(), &vec![b'x'; length])
            .unwrap();
    }
    let tree = tree(image);
    for length in lengths {
        assert_eq!(
            tree[format!("/{length:04}").as_bytes()],
            Node::Symlink(vec![b'x'; length])
        );
    }
}

#[test]
fn more_than_65533_directories_in_one_take_a_longer_inode() {
    for count in [65_533, 65_534] {
        let mut image = ImageBuilder::new();
        for number in 0..count {
            image.enter(format!("{number:05}").as_bytes()).unwrap();
            image.leave().unwrap();
        }
        assert_eq!(tree(image).len(), count + 1);
    }
}

#[test]
fn a_deep_tree_reads_back() {
    let mut image = ImageBuilder::new();
    for _ in 0..3000 {
        image.enter(b"d").unwrap();
    }
    for _ in 0..3000 {
        image.leave().unwrap();
    }
    assert_eq!(tree(image).len(), 3001);
}

#[test]
fn files_beyond_4_gib_read_back() {
    let mut image = ImageBuilder::new();
    let pack = image.device(b"1", 1 << 40).unwrap();
    let sizes = [u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, (1 << 40) - 512];
    for size in sizes {
        image
            .file(
                size.to_string().as_bytes(),
                false,
                &[Extent::data(size, pack, 512)],
            )
            .unwrap();
    }
    image
        .file(b"zeros", false, &[Extent::hole(1 << 62)])
        .unwrap();
    let tree = tree(image);
    for size in sizes {
        let runs = vec![Run {
            length: size,
            place: Some((0, 512)),
        }];
        assert_eq!(
            tree[format!("/{size}").as_bytes()],
            Node::File {
                executable: false,
                size,
                runs
            }
        );
    }
    let runs = vec![Run {
        length: 1 << 62,
        place: None,
    }];
    assert_eq!(
        tree[&b"/zeros"[..]],
        Node::File {
            executable: false,
            size: 1 << 62,
            runs
        }
    );
}

#[test]
fn as_many_devices_as_indexes_can_name() {
    let mut image = ImageBuilder::new();
    let devices: Vec<DeviceIndex> = (0..MAX_DEVICES)
        .map(|number| image.device(number.to_string().as_bytes(), 512).unwrap())
        .collect();
    assert_eq!(image.device(b"one more", 512), Err(Error::TooManyDevices));
    let last = *devices.last().unwrap();
    image
        .file(b"file", false, &[Extent::data(512, last, 0)])
        .unwrap();
    let tree = tree(image);
    let runs = vec![Run {
        length: 512,
        place: Some((65_534, 0)),
    }];
    assert_eq!(
        tree[&b"/file"[..]],
        Node::File {
            executable: false,
            size: 512,
            runs
        }
    );
}

#[test]
fn what_is_no_name_is_refused() {
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", b"\0"] {
        let expected = Error::InvalidName {
            name: name.to_vec(),
        };
        assert_eq!(
            ImageBuilder::new().file(name, false, &[]),
            Err(expected.clone())
        );
        assert_eq!(
            ImageBuilder::new().symlink(name, b"x"),
            Err(expected.clone())
        );
        assert_eq!(ImageBuilder::new().enter(name), Err(expected));
    }
    let name = vec![b'x'; 256];
    assert_eq!(
        ImageBuilder::new().enter(&name),
        Err(Error::NameTooLong { name: name.clone() })
    );
}

#[test]
fn a_name_twice_in_a_directory_is_refused() {
    let mut image = ImageBuilder::new();
    image.enter(b"d").unwrap();
    image.symlink(b"x", b"y").unwrap();
    image.symlink(b"z", b"y").unwrap();
    image.file(b"x", false, &[]).unwrap();
    assert_eq!(
        image.leave(),
        Err(Error::DuplicateName {
            name: b"x".to_vec()
        })
    );

    let mut image = ImageBuilder::new();
    image.symlink(b"x", b"y").unwrap();
    image.symlink(b"x", b"y").unwrap();
    assert_eq!(
        image.finish().unwrap_err().to_string(),
        r#"the name "x" stands twice in one directory"#
    );
}

#[test]
fn what_is_no_target_is_refused() {
    let mut image = ImageBuilder::new();
    assert!(matches!(
        image.symlink(b"x", b""),
        Err(Error::InvalidTarget { .. })
    ));
    assert!(matches!(
        image.symlink(b"x", b"a\0"),
        Err(Error::InvalidTarget { .. })
    ));
    assert_eq!(
        image.symlink(b"x", &[b'a'; 4096]),
        Err(Error::TargetTooLong {
            name: b"x".to_vec(),
            length: 4096
        })
    );
}

#[test]
fn what_is_no_device_is_refused() {
    let mut image = ImageBuilder::new();
    for tag in [&b""[..], b"a\0b", &[b'x'; 65]] {
        assert_eq!(
            image.device(tag, 0),
            Err(Error::InvalidTag { tag: tag.to_vec() })
        );
    }
    assert!(image.device(&[b'x'; 64], 0xffff_ffff * 512).is_ok());
    assert!(matches!(
        image.device(b"x", 0xffff_ffff * 512 + 1),
        Err(Error::DeviceTooLong { .. })
    ));
}

#[test]
fn directories_entered_and_left_must_match() {
    let mut image = ImageBuilder::new();
    assert_eq!(image.leave(), Err(Error::Unbalanced));
    image.enter(b"d").unwrap();
    assert_eq!(image.finish().unwrap_err(), Error::Unbalanced);
}

#[test]
fn size_is_linear_in_files() {
    let length = |files: u32| {
        let mut image = ImageBuilder::new();
        let pack = image.device(b"1", 1 << 40).unwrap();
        for directory in 0..files / 100 {
            image
                .enter(format!("directory-{directory}").as_bytes())
                .unwrap();
            for file in 0..100 {
                image
                    .file(
                        format!("file-{file}").as_bytes(),
                        false,
                        &[Extent::data(1 << 30, pack, 0)],
                    )
                    .unwrap();
            }
            image.leave().unwrap();
        }
        image.finish().unwrap().length()
    };
    let (small, large) = (length(10_000), length(100_000));
    assert!(large <= small * 10, "{small} and {large} bytes");
    assert!(small < 100 * 10_000, "{small} bytes for 10,000 files");
}

/// Where bytes are kept until the image is written makes no difference to it.
#[test]
fn an_image_that_was_kept_in_scratch_space_is_the_same() {
    let fill = |mut image: ImageBuilder| {
        let pack = image.device(b"pack", 1 << 30).unwrap();
        for directory in 0..100_u64 {
            image.enter(format!("{directory:03}").as_bytes()).unwrap();
            image.enter(b"inner").unwrap();
            for number in 0..1000 {
                let name = format!("file-{number:04}");
                let offset = (directory * 1000 + number) * 512;
                let extent = Extent::data(100, pack, offset);
                image.file(name.as_bytes(), false, &[extent]).unwrap();
            }
            image.symlink(b"link", &[b'x'; 700]).unwrap();
            image.leave().unwrap();
            image.leave().unwrap();
        }
        bytes(&mut image.finish().unwrap())
    };
    let scratch = || std::io::Cursor::new(Vec::new());
    let spilled = fill(ImageBuilder::with_scratch(scratch(), scratch()));
    assert!(spilled.len() > 7 << 20);
    assert!(spilled == fill(ImageBuilder::new()));
}
