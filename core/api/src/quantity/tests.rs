use proptest::prelude::*;

use super::*;

fn printed(text: &str) -> String {
    match text.parse::<Amount>() {
        Ok(amount) => amount.to_string(),
        Err(error) => error.to_string(),
    }
}

fn rounded(text: &str) -> String {
    let mut amount: Amount = text.parse().unwrap();
    amount.round_up(MILLI);
    amount.to_string()
}

/// Each as `resource.ParseQuantity(text).String()` of Kubernetes 1.37 gives it.
#[test]
fn quantities_are_printed_as_the_server_prints_them() {
    let table = [
        ("0", "0"),
        ("00", "0"),
        ("-0", "0"),
        ("0Ki", "0"),
        ("100", "100"),
        ("1000", "1k"),
        ("1000000", "1M"),
        ("128974848", "128974848"),
        ("512", "512"),
        ("1024", "1024"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("-0.5", "-500m"),
        ("-1.5", "-1500m"),
        ("1.0001", "1000100u"),
        // What looks normal at a glance is kept.
        ("+1", "+1"),
        ("010", "010"),
        ("1.", "1."),
        ("1.G", "1.G"),
        ("1.Ki", "1.Ki"),
        ("1.500", "1.500"),
        (" 1 ", "1"),
        ("+5Gi", "+5Gi"),
        ("0123Gi", "0123Gi"),
        ("0123Ti", "123Ti"),
        ("1024Mi", "1Gi"),
        ("1000Mi", "1000Mi"),
        ("2048Ki", "2Mi"),
        ("1.5Gi", "1536Mi"),
        ("1.25Gi", "1280Mi"),
        ("2.5Mi", "2560Ki"),
        ("-1.5Gi", "-1536Mi"),
        // Fractions of bytes have no binary suffix.
        ("1.1Ki", "1126400m"),
        ("4.4Mi", "4613734400m"),
        ("0.5Ki", "512"),
        ("0.0001Ki", "102400u"),
        ("1.0001Ki", "1024102400u"),
        ("1e3", "1e3"),
        ("1E3", "1E3"),
        ("1e03", "1e03"),
        ("1e+3", "1e+3"),
        ("10e2", "1e3"),
        ("1.5e3", "1500"),
        ("1e-1", "100e-3"),
        ("1e18", "1e18"),
        ("1e100", "10e99"),
        ("1E", "1E"),
        ("10E", "10E"),
        ("1000P", "1E"),
        ("1000000000000000000", "1E"),
        ("9223372036854775808", "9223372036854775808"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        // Finer than a thousand-millionth, and larger than 63 bits.
        ("0.1n", "1n"),
        ("1e-20", "1e-9"),
        ("1.1234567890123456789", "1123456790n"),
        ("7Ei", "7Ei"),
        ("8Ei", "9223372036854775807"),
        ("-8Ei", "-9223372036854775807"),
    ];
    for (text, expected) in table {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn amounts_of_resources_are_rounded_up_to_thousandths() {
    let table = [
        ("1u", "1m"),
        ("1500u", "2m"),
        ("-1u", "-1m"),
        ("1n", "1m"),
        ("1.0001", "1001m"),
        ("1.1234567890123456789", "1124m"),
        ("0.0001Ki", "103m"),
        ("1.0001Ki", "1024103m"),
        ("1e-20", "1e-3"),
        ("9999999n", "10m"),
        // Nothing to round: as they are printed otherwise.
        ("1.500", "1.500"),
        ("1500m", "1500m"),
        ("1.1Ki", "1126400m"),
        ("1.5Gi", "1536Mi"),
        ("0", "0"),
    ];
    for (text, expected) in table {
        assert_eq!(rounded(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_quantity_is_refused() {
    for text in [
        "",
        " ",
        "abc",
        "1ki",
        "1KB",
        "64Mb",
        "1g",
        "1 Gi",
        "5eE",
        "1.5.2",
        "1e",
        "1m3",
        "1e99999999999999999999",
    ] {
        assert_eq!(
            text.parse::<Amount>().unwrap_err(),
            BadQuantity::Syntax,
            "{text}"
        );
    }
    assert_eq!(
        "1".repeat(300).parse::<Amount>().unwrap_err(),
        BadQuantity::Syntax
    );
    // The server would print the first as `1`.
    for text in ["1000E", "1000000P", "1e4294967299"] {
        assert_eq!(
            text.parse::<Amount>().unwrap_err(),
            BadQuantity::TooLarge,
            "{text}"
        );
    }
}

#[test]
fn amounts_compare_as_numbers() {
    let ordered = [
        "-1Ki", "-1k", "-1", "-1m", "0", "1n", "1m", "0.5", "999m", "1", "1.001", "9", "10", "999",
        "1k", "1Ki", "1M", "1Mi", "1e9", "1Gi", "8Ei", "1e20",
    ];
    for (index, less) in ordered.iter().enumerate() {
        for (other, more) in ordered.iter().enumerate() {
            let compared = less
                .parse::<Amount>()
                .unwrap()
                .partial_cmp(&more.parse().unwrap());
            assert_eq!(compared, Some(index.cmp(&other)), "{less} and {more}");
        }
    }
    for (one, other) in [
        ("1", "1000m"),
        ("1Gi", "1024Mi"),
        ("1e3", "1k"),
        ("0", "0Gi"),
        ("1.50", "1500m"),
    ] {
        assert_eq!(one.parse::<Amount>().unwrap(), other.parse().unwrap());
    }
}

#[test]
fn whole_amounts_are_known() {
    let whole = |text: &str| text.parse::<Amount>().unwrap().is_whole();
    assert!(
        ["0", "1", "1000m", "1.5Gi", "1e3", "0.5Ki"]
            .into_iter()
            .all(whole)
    );
    assert!(!["512m", "0.5", "1u", "1.1Ki"].into_iter().any(whole));
}

proptest! {
    #[test]
    fn what_is_printed_is_the_same_number_and_stays(text in "[+-]?[0-9]{1,25}([.][0-9]{0,12})?(m|u|n|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi|e-?[0-9]|E[0-9]{1,2})?") {
        let Ok(amount) = text.parse::<Amount>() else { return Ok(()) };
        let printed = amount.to_string();
        let again: Amount = printed.parse().unwrap();
        prop_assert_eq!(&again, &amount, "{} is printed as {}", text, printed);
        prop_assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn rounding_adds_less_than_a_thousandth_away_from_zero(text in "[+-]?[0-9]{1,9}([.][0-9]{1,9})?(m|u|k)?") {
        let amount: Amount = text.parse().unwrap();
        let mut rounded = amount.clone();
        rounded.round_up(MILLI);
        prop_assert!(rounded.magnitude(&amount) != Ordering::Less);
        let mut twice = rounded.clone();
        twice.round_up(MILLI);
        prop_assert_eq!(&twice, &rounded);
        // Take its last thousandth away, and it is less than what was rounded.
        prop_assume!(!amount.is_zero());
        let mut below = rounded.clone();
        below.digits.resize(below.digits.len() + usize::try_from(below.exponent - MILLI).unwrap(), 0);
        let number: i128 = below.digits.iter().fold(0, |sum, digit| sum * 10 + i128::from(*digit));
        let below: Amount = format!("{}m", number - 1).parse().unwrap();
        prop_assert_eq!(below.magnitude(&amount), Ordering::Less, "{} became {}", text, rounded);
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,300}") {
        let _ = text.parse::<Amount>();
    }
}
