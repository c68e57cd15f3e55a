//! Nix's base-32: the digits and lower-case letters without `e`, `o`, `t`
//! and `u`, most significant digit first, over the bytes read as one
//! little-endian number.

use thiserror::Error;

const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

const INVALID: u8 = 0xff;

const VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut digit = 0;
    while digit < 32 {
        values[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// A character outside the alphabet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid character in Nix32 (Nix's Base32 variation) string: '{0}'")]
pub struct InvalidCharacter(pub char);

/// Length in characters of the encoding of `bytes` bytes.
pub const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Whether `byte` is a digit of the alphabet.
#[inline]
pub const fn is_digit(byte: u8) -> bool {
    VALUES[byte as usize] != INVALID
}

/// Encodes `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(encoded_len(bytes.len()));
    encode_to(bytes, &mut out);
    out
}

/// Appends the encoding of `bytes` to `out`.
pub fn encode_to(bytes: &[u8], out: &mut String) {
    if bytes.is_empty() {
        return;
    }
    // The first digit holds what is left over when the rest is cut into fives.
    let mut wanted = match bytes.len() * 8 % 5 {
        0 => 5,
        rest => rest,
    };
    let (mut bits, mut count) = (0u32, 0);
    for &byte in bytes.iter().rev() {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        while count >= wanted {
            count -= wanted;
            out.push(char::from(ALPHABET[(bits >> count) as usize & 0x1f]));
            bits &= (1 << count) - 1;
            wanted = 5;
        }
    }
}

/// Decodes `text`. Surplus high bits that are set make the result one byte
/// longer, so a caller that compares lengths refuses them.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, InvalidCharacter> {
    let mut out = Vec::with_capacity((text.len() * 5).div_ceil(8));
    let (mut bits, mut count) = (0u32, 0);
    for &character in text.iter().rev() {
        let digit = VALUES[usize::from(character)];
        if digit == INVALID {
            return Err(InvalidCharacter(char::from(character)));
        }
        bits |= u32::from(digit) << count;
        count += 5;
        if count >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    }
    if bits != 0 {
        out.push(bits as u8);
    }
    Ok(out)
}

/// Decodes `text` into exactly `N` bytes; `None` when it is anything else.
pub fn decode_exact<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != encoded_len(N) {
        return None;
    }
    decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodes_what_nix_encodes() {
        assert_eq!(encode(&[]), "");
        assert_eq!(encode(&[0x1f]), "0z");
        assert_eq!(
            encode(&[
                0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f,
                0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b,
                0x78, 0x52, 0xb8, 0x55
            ]),
            "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
        );
    }

    #[test]
    fn refuses_letters_outside_the_alphabet() {
        assert_eq!(decode(b"0e"), Err(InvalidCharacter('e')));
        assert_eq!(decode("ü".as_bytes()), Err(InvalidCharacter('\u{bc}')));
    }

    #[test]
    fn surplus_bits_do_not_decode_to_the_wanted_length() {
        let mut text = encode(&[0xff; 32]).into_bytes();
        assert_eq!(decode_exact::<32>(&text), Some([0xff; 32]));
        text[0] = b'2';
        assert_eq!(decode_exact::<32>(&text), None);
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(decode(text.as_bytes()).unwrap(), bytes);
        }

        #[test]
        fn order_of_texts_is_order_of_reversed_bytes(a in any::<[u8; 20]>(), b in any::<[u8; 20]>()) {
            let (mut ra, mut rb) = (a, b);
            ra.reverse();
            rb.reverse();
            prop_assert_eq!(encode(&a).cmp(&encode(&b)), ra.cmp(&rb));
        }
    }
}
