//! RSA keys, of the parts that OpenSSH keeps.

use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::RsaKeyPair;

use super::KeyProblem;

/// No key that can sign here is larger.
const MOST_BITS: usize = 4096;

/// The numbers that OpenSSH keeps of a key, without zeros before them.
pub(super) struct RsaParts<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) exponent: &'a [u8],
    pub(super) secret_exponent: &'a [u8],
    pub(super) primes: [&'a [u8]; 2],
    /// The inverse of the second prime, modulo the first.
    pub(super) inverse_of_second: &'a [u8],
}

impl RsaParts<'_> {
    pub(super) fn key_pair(&self) -> Result<RsaKeyPair, KeyProblem> {
        // What follows takes time by the square of it.
        let [first, second] = self.primes;
        if [self.modulus, self.secret_exponent, first, second]
            .iter()
            .any(|part| part.len() > MOST_BITS / 8)
        {
            return Err(KeyProblem::TooManyBits(MOST_BITS));
        }
        let secret = self.secret_exponent;
        let exponent = |prime: &[u8]| Some(remainder(secret, &less_one(prime)?));
        let (Some(of_first), Some(of_second)) = (exponent(first), exponent(second)) else {
            return Err(KeyProblem::Damaged);
        };
        let components = KeyPairComponents {
            public_key: PublicKeyComponents {
                n: self.modulus,
                e: self.exponent,
            },
            d: secret,
            p: first,
            q: second,
            dP: &of_first,
            dQ: &of_second,
            qInv: self.inverse_of_second,
        };
        RsaKeyPair::from_components(&components).map_err(KeyProblem::Refused)
    }
}

/// An odd number less one.
fn less_one(number: &[u8]) -> Option<Vec<u8>> {
    let mut number = number.to_vec();
    match number.last_mut() {
        Some(last) if *last % 2 == 1 => *last -= 1,
        _ => return None,
    }
    number.iter().any(|byte| *byte != 0).then_some(number)
}

/// The remainder of a division: bit by bit, as one learns it in school. Without zeros before it.
fn remainder(number: &[u8], divisor: &[u8]) -> Vec<u8> {
    // One byte more than the divisor, for the bit that is shifted out.
    let mut rest = vec![0_u8; divisor.len() + 1];
    let divisor = [&[0], divisor].concat();
    for byte in number {
        for bit in (0..8).rev() {
            let mut carry = byte >> bit & 1;
            for place in rest.iter_mut().rev() {
                let shifted = *place << 1 | carry;
                carry = *place >> 7;
                *place = shifted;
            }
            if rest >= divisor {
                let mut borrow = false;
                for (place, less) in rest.iter_mut().zip(&divisor).rev() {
                    let (first, borrowed) = place.overflowing_sub(*less);
                    let (second, again) = first.overflowing_sub(u8::from(borrow));
                    *place = second;
                    borrow = borrowed || again;
                }
            }
        }
    }
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    rest.split_off(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_are_those_of_a_division() {
        for (number, divisor) in [
            (0_u64, 3_u64),
            (7, 7),
            (12_345_678_901_234_567, 255),
            (u64::MAX, 256),
            (u64::MAX, u64::MAX - 1),
            (1 << 63, 0xffff_fffe),
            (5, 1 << 40),
        ] {
            let bytes = remainder(&number.to_be_bytes(), &divisor.to_be_bytes());
            let found = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            assert_eq!(found, number % divisor, "{number} % {divisor}");
        }
    }

    #[test]
    fn primes_are_odd() {
        assert_eq!(less_one(&[1, 1]), Some(vec![1, 0]));
        assert_eq!(less_one(&[2]), None);
        assert_eq!(less_one(&[1]), None);
        assert_eq!(less_one(&[]), None);
    }
}
