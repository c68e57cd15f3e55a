//! Texts that are no good narinfo, one by one.

use nix_formats::{HashAlgorithm, HashFormat, NarHash, NarInfo, StoreDir};

use crate::support::{noise, store_path};

/// narinfos of a path, and what the error has to say.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn wrong_texts(info: &NarInfo, other: &NarInfo) -> Vec<(String, Vec<u8>, &'static str)> {
    let text = info.print(&StoreDir::default());
    let with = |change: &dyn Fn(&mut NarInfo)| {
        let mut info = info.clone();
        change(&mut info);
        info.print(&StoreDir::default())
    };
    let line = |field: &str| {
        let start = format!("{field}: ");
        text.lines()
            .find(|line| line.starts_with(&start))
            .unwrap()
            .to_owned()
    };
    let set = |field: &str, value: &str| text.replace(&line(field), &format!("{field}: {value}"));
    let (damaged, untrusted) = ("has a damaged narinfo: ", "has it, but unsigned");
    let no_key = "in the name of test that the trusted key of that name did not make";
    let mut cases: Vec<(String, Vec<u8>, &'static str)> = Vec::new();
    let mut case = |what: String, text: String, why| cases.push((what, text.into_bytes(), why));

    // Another path's.
    case(
        "another path's".into(),
        other.print(&StoreDir::default()),
        "answers with another path",
    );
    case(
        "another path's signature".into(),
        with(&|info| info.signatures.clone_from(&other.signatures)),
        no_key,
    );
    case(
        "unsigned".into(),
        with(&|info| info.signatures.clear()),
        untrusted,
    );
    case(
        "a reference more".into(),
        with(&|info| info.references = [other.path.clone()].into()),
        no_key,
    );
    case(
        "itself as a reference".into(),
        with(&|info| info.references = [info.path.clone()].into()),
        no_key,
    );
    for (name, path) in [
        (
            "in another folder",
            "/nix/other/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-web",
        ),
        ("relative", "0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-web"),
        (
            "below itself",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-web/bin",
        ),
        (
            "with dots",
            "/nix/store/../store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-web",
        ),
        ("of dots", "/nix/store/.."),
        (
            "with a slash at its end",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-web/",
        ),
        (
            "without a name",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-",
        ),
        (
            "without a dash",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0nweb",
        ),
        (
            "with a short hash",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di-web",
        ),
        (
            "with letters that no hash has",
            "/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-web",
        ),
        (
            "with capitals",
            "/nix/store/0XJC8J4XFV2LR4Y09HJXFCW8VMR6DI0N-web",
        ),
        (
            "with a blank",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-we b",
        ),
        (
            "with a NUL",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-we\0b",
        ),
        (
            "with an accent",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-w\u{e9}b",
        ),
        (
            "that colours terminals",
            "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-\u{1b}[31mweb",
        ),
        ("empty", ""),
    ] {
        let why = if ["with dots", "with a slash at its end"].contains(&name) {
            "answers with another path"
        } else {
            damaged
        };
        case(format!("path {name}"), set("StorePath", path), why);
    }
    case(
        "a path of 212 letters".into(),
        set(
            "StorePath",
            &format!("/nix/store/{}-{}", "0".repeat(32), "n".repeat(212)),
        ),
        damaged,
    );
    case(
        "a path of 900,000 letters".into(),
        set(
            "StorePath",
            &format!("/nix/store/{}-{}", "0".repeat(32), "n".repeat(900_000)),
        ),
        damaged,
    );

    // Numbers.
    for field in ["NarSize", "FileSize"] {
        for (number, value) in "-1|+1|1e3|1.0|0x10| 8|8 |8 8|8,000||nan|\u{663}|18446744073709551616|99999999999999999999999999|\
            8\r|8\0|\u{202e}8".split('|')
        .enumerate()
        {
            case(format!("{field} {number}"), set(field, value), damaged);
        }
        case(
            format!("{field} of 800,000 digits"),
            set(field, &"9".repeat(800_000)),
            damaged,
        );
    }
    case("NarSize 0".into(), set("NarSize", "0"), damaged);
    case(
        "NarSize without a line".into(),
        text.replace(&format!("{}\n", line("NarSize")), ""),
        "the field NarSize is missing",
    );

    // Hashes.
    let digest =
        |algorithm: HashAlgorithm| algorithm.digest(b"x").to_string(HashFormat::Nix32, true);
    for (number, value) in [
        digest(HashAlgorithm::Md5),
        digest(HashAlgorithm::Sha1),
        digest(HashAlgorithm::Sha512),
        "sha256:".into(),
        "sha256".into(),
        String::new(),
        "sha256:x".into(),
        format!("sha256:{}", "0".repeat(51)),
        format!("sha256:{}", "0".repeat(53)),
        format!("sha256:{}", "e".repeat(52)),
        format!("sha256:z{}", "0".repeat(51)),
        format!("sha256:{}", "g".repeat(64)),
        format!("sha512:{}", "0".repeat(52)),
        format!("crc32:{}", "0".repeat(8)),
        "sha256-AAAA".into(),
        format!("sha256:{}", "0".repeat(800_000)),
        "x".repeat(800_000),
    ]
    .into_iter()
    .enumerate()
    {
        case(format!("NarHash {number}"), set("NarHash", &value), damaged);
        if number > 2 {
            case(
                format!("FileHash {number}"),
                set("FileHash", &value),
                damaged,
            );
        }
    }
    case(
        "another NarHash".into(),
        set("NarHash", &digest(HashAlgorithm::Sha256)),
        no_key,
    );

    // References.
    for (number, value) in "..|.|/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-web|../0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-web|\
            web|0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n|0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-|\
            0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-a/b|0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-a\0b|\
            0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-a,0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-b|\
            eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-web|\u{1b}]0;x\u{7}".split('|')
    .enumerate()
    {
        case(
            format!("References {number}"),
            set("References", value),
            damaged,
        );
    }
    let too_many = "it has more than 16384 references";
    for (count, why) in [(16_000, no_key), (20_000, too_many)] {
        let same = |number: usize| nix_formats::nix32::encode(&[number as u8; 20]) + "-n";
        let different = |number: usize| {
            let path = store_path("many", &number.to_string());
            path.base_name().to_owned()
        };
        let join =
            |name: &dyn Fn(usize) -> String| (0..count).map(name).collect::<Vec<_>>().join(" ");
        case(
            format!("{count} references"),
            set("References", &join(&same)),
            why,
        );
        case(
            format!("{count} different references"),
            set("References", &join(&different)),
            why,
        );
    }
    for (number, value) in [
        "x",
        "x.drv",
        "../x",
        "/nix/store/0xjc8j4xfv2lr4y09hjxfcw8vmr6di0n-web.drv",
        "\u{1b}[2J",
    ]
    .iter()
    .enumerate()
    {
        case(format!("Deriver {number}"), set("Deriver", value), damaged);
    }
    case(
        "a Deriver of 900,000 letters".into(),
        set("Deriver", &"d".repeat(900_000)),
        damaged,
    );

    // Signatures.
    let signature = line("Sig");
    let signature = signature.strip_prefix("Sig: ").unwrap();
    let (_, data) = signature.split_once(':').unwrap();
    for (number, value) in [
        "",
        ":",
        "test",
        "test:",
        "test:x",
        "test:====",
        &signature.replace(':', ";"),
        &format!("test:{}", "A".repeat(800_000)),
        &format!(" {signature}\u{1b}"),
        &format!("test:{}", "\u{e9}".repeat(44)),
    ]
    .iter()
    .enumerate()
    {
        case(format!("Sig {number}"), set("Sig", value), damaged);
    }
    for value in ["test:AAAA", &signature[..signature.len() - 4]] {
        case(format!("Sig {value}"), set("Sig", value), no_key);
    }
    for (value, why) in [
        (format!("test:{}==", "A".repeat(86)), no_key),
        (
            format!("other:{data}"),
            "signed only by keys that are not trusted",
        ),
    ] {
        case(format!("signature {value}"), set("Sig", &value), why);
    }
    for name in ["n".repeat(100_000), "test\u{1b}[2J".into()] {
        case(
            "a key's name that none has".into(),
            set("Sig", &format!("{name}:{data}")),
            damaged,
        );
    }
    let mut forged = info.clone();
    forged.nar_hash = NarHash::of(b"another");
    forged.signatures.clear();
    forged.sign(
        &StoreDir::default(),
        &nix_formats::SecretKey::from_seed("test", [9; 32]),
    );
    case(
        "a key of the same name".into(),
        forged.print(&StoreDir::default()),
        no_key,
    );
    let wrong = format!("Sig: test:{}==\n", "A".repeat(86));
    case(
        "9,000 signatures".into(),
        text.replace(&format!("{}\n", line("Sig")), &wrong.repeat(9000)),
        no_key,
    );

    // Content addresses.
    for (number, value) in "x|fixed|fixed:|fixed:r:|fixed:sha256:x|fixed:r:crc:0|text:|text:r:sha256:x|fixed:x:sha256:0|\
            git:|\u{1b}|fixed:r:sha256".split('|')
    .enumerate()
    {
        case(
            format!("CA {number}"),
            format!("{text}CA: {value}\n"),
            damaged,
        );
    }
    case(
        "a CA of 900,000 letters".into(),
        format!("{text}CA: {}\n", "c".repeat(900_000)),
        damaged,
    );
    let address = HashAlgorithm::Sha256
        .digest(b"x")
        .to_string(HashFormat::Nix32, true);
    for method in ["fixed:", "fixed:r:", "text:", "fixed:git:"] {
        let unsigned = text.replace(&format!("{}\n", line("Sig")), "");
        case(
            format!("CA {method}"),
            format!("{unsigned}CA: {method}{address}\n"),
            "",
        );
    }

    // The form.
    for field in text.lines().map(|line| line.split(':').next().unwrap()) {
        let again = line(field);
        if field != "Sig" {
            case(
                format!("{field} twice"),
                format!("{text}{again}\n"),
                "is given twice",
            );
            case(
                format!("{field} twice, another first"),
                format!("{again}\n{text}"),
                "is given twice",
            );
        }
        case(
            format!("{field} without a colon"),
            text.replace(&again, &again.replace(':', "")),
            "has no ':'",
        );
        case(
            format!("{field} with a blank before it"),
            text.replace(&again, &format!("{again}\n  {field}")),
            "has no ':'",
        );
        // What is missing has a default, and may be missing.
        if ["StorePath", "URL", "NarHash"].contains(&field) {
            case(
                format!("without {field}"),
                text.replace(&format!("{again}\n"), ""),
                "is missing",
            );
            case(
                format!("empty {field}"),
                text.replace(&again, &format!("{field}:")),
                damaged,
            );
            case(
                format!("{field} in small letters"),
                text.replace(&again, &again.to_lowercase()),
                "is missing",
            );
        }
    }
    case("CRLF".into(), text.replace('\n', "\r\n"), damaged);
    case("CR".into(), text.replace('\n', "\r"), damaged);
    case(
        "a byte order mark".into(),
        format!("\u{feff}{text}"),
        "the field StorePath is missing",
    );
    case("empty".into(), String::new(), "is missing");
    case(
        "blank lines".into(),
        text.replace('\n', "\n\n"),
        "has no ':'",
    );
    case("a line alone".into(), "StorePath".into(), "truncated");
    case(
        "HTML".into(),
        "<!DOCTYPE html>\n<html><body>404: not here</body></html>\n".into(),
        "has no ':'",
    );
    case(
        "JSON".into(),
        "{\"StorePath\": \"x\"}\n".into(),
        "is missing",
    );
    case("a NUL".into(), "\0".into(), "truncated");
    case(
        "too large".into(),
        text.clone() + &"x: y\n".repeat(300_000),
        "is larger than 1048576 bytes",
    );
    case(
        "a line that is too large".into(),
        text.clone() + "x: " + &"y".repeat(2 << 20),
        "is larger than 1048576 bytes",
    );
    let mut bytes = |what: &str, bytes: Vec<u8>, why| cases.push((what.to_owned(), bytes, why));
    bytes(
        "UTF-16",
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        damaged,
    );
    bytes("noise", noise(4, 3000), damaged);
    bytes("zeros", vec![0; 1 << 20], damaged);
    bytes("lines of nothing", b":\n".repeat(500_000), "is missing");
    for length in 1..text.len() {
        // Whole lines that are missing may have a default.
        if !text[..length].ends_with('\n') {
            bytes(
                &format!("cut at {length}"),
                text.as_bytes()[..length].to_vec(),
                "the file is truncated",
            );
        }
    }
    cases
}
