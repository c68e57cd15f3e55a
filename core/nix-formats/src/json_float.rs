//! Floats in JSON: the digits that Grisu2 finds ("Printing Floating-Point Numbers Quickly and Accurately with
//! Integers", Florian Loitsch, 2010), which are mostly but not always the fewest that read back as the same number.

/// Appends a finite float, always with a fraction or an exponent.
pub fn write_json_float(out: &mut Vec<u8>, value: f64) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value == 0.0 {
        out.extend_from_slice(b"0.0");
        return;
    }
    let mut digits = Digits {
        bytes: [0; 20],
        len: 0,
        exponent: 0,
    };
    digits.find(value.abs());
    layout(out, &digits.bytes[..digits.len], digits.exponent);
}

/// `0.digits * 10^(len + exponent)`, plain where the point lies within or near the digits.
fn layout(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let len = digits.len() as i32;
    let point = len + exponent;
    let zeros = |out: &mut Vec<u8>, count: i32| {
        out.extend(std::iter::repeat_n(
            b'0',
            usize::try_from(count).unwrap_or(0),
        ));
    };
    match point {
        _ if len <= point && point <= 15 => {
            out.extend_from_slice(digits);
            zeros(out, point - len);
            out.extend_from_slice(b".0");
        }
        1..=15 => {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        -3..=0 => {
            out.extend_from_slice(b"0.");
            zeros(out, -point);
            out.extend_from_slice(digits);
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            out.extend_from_slice(first);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest);
            }
            let exponent = point - 1;
            let sign = if exponent < 0 { '-' } else { '+' };
            out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
        }
    }
}

/// `significand * 2^exponent`
#[derive(Clone, Copy)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

impl Scaled {
    fn normalised(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self {
            significand: self.significand << shift,
            exponent: self.exponent - shift as i32,
        }
    }

    /// The product's upper 64 bits, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        Self {
            significand: ((product + (1 << 63)) >> 64) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

const SIGNIFICAND_BITS: u32 = 52;
const HIDDEN_BIT: u64 = 1 << SIGNIFICAND_BITS;
const EXPONENT_BIAS: i32 = 1075;
/// Powers of ten are chosen such that scaled exponents lie between this and -32.
const LEAST_EXPONENT: i32 = -60;

struct Digits {
    bytes: [u8; 20],
    len: usize,
    exponent: i32,
}

impl Digits {
    fn find(&mut self, value: f64) {
        let bits = value.to_bits();
        let fraction = bits & (HIDDEN_BIT - 1);
        let biased = (bits >> SIGNIFICAND_BITS) as i32;
        let exact = if biased == 0 {
            Scaled {
                significand: fraction,
                exponent: 1 - EXPONENT_BIAS,
            }
        } else {
            Scaled {
                significand: fraction | HIDDEN_BIT,
                exponent: biased - EXPONENT_BIAS,
            }
        };
        let above = Scaled {
            significand: exact.significand * 2 + 1,
            exponent: exact.exponent - 1,
        }
        .normalised();
        // The number below is only half as far away from a power of two.
        let (factor, shift) = if fraction == 0 && biased > 1 {
            (4, 2)
        } else {
            (2, 1)
        };
        let below = exact.significand * factor - 1;
        let below = Scaled {
            significand: below << (exact.exponent - shift - above.exponent),
            exponent: above.exponent,
        };
        let (power, decimal) = power_of_ten(above.exponent);
        let exact = exact.normalised().times(power);
        let below = below.times(power).significand + 1;
        let above = above.times(power);
        self.exponent = -decimal;
        self.generate(
            below,
            exact.significand,
            above.significand - 1,
            above.exponent,
        );
    }

    /// Digits of a number between `below` and `above`, near `exact`; all three are scaled by `2^exponent`.
    fn generate(&mut self, below: u64, exact: u64, above: u64, exponent: i32) {
        let shift = exponent.unsigned_abs();
        let one = 1_u64 << shift;
        let (mut delta, mut distance) = (above - below, above - exact);
        let mut whole = (above >> shift) as u32;
        let mut fraction = above & (one - 1);
        let mut left = whole.checked_ilog10().unwrap_or(0) + 1;
        while left > 0 {
            left -= 1;
            let power = 10_u32.pow(left);
            self.push((whole / power) as u8);
            whole %= power;
            let rest = (u64::from(whole) << shift) + fraction;
            if rest <= delta {
                self.exponent += left as i32;
                self.round(distance, delta, rest, u64::from(power) << shift);
                return;
            }
        }
        loop {
            fraction *= 10;
            self.push((fraction >> shift) as u8);
            fraction &= one - 1;
            self.exponent -= 1;
            delta *= 10;
            distance *= 10;
            if fraction <= delta {
                self.round(distance, delta, fraction, one);
                return;
            }
        }
    }

    fn push(&mut self, digit: u8) {
        self.bytes[self.len] = b'0' + digit;
        self.len += 1;
    }

    /// Lowers the last digit while that leads nearer to the exact value.
    fn round(&mut self, distance: u64, delta: u64, mut rest: u64, unit: u64) {
        while rest < distance
            && delta - rest >= unit
            && (rest + unit < distance || distance - rest > rest + unit - distance)
        {
            self.bytes[self.len - 1] -= 1;
            rest += unit;
        }
    }
}

/// A power of ten that brings a number with this binary exponent into range, and its decimal exponent.
fn power_of_ten(exponent: i32) -> (Scaled, i32) {
    let wanted = LEAST_EXPONENT - exponent - 1;
    let decimal = (wanted * 78913) / (1 << 18) + i32::from(wanted > 0);
    let index = (decimal - FIRST_POWER + POWER_STEP - 1) / POWER_STEP;
    let decimal = FIRST_POWER + index * POWER_STEP;
    let power = Scaled {
        significand: POWERS[index as usize],
        exponent: ((decimal * 217_706) >> 16) - 63,
    };
    (power, decimal)
}

const FIRST_POWER: i32 = -300;
const POWER_STEP: i32 = 8;

/// The first 64 bits of 10^-300, 10^-292 … 10^324, rounded.
const POWERS: [u64; 79] = [
    0xAB70_FE17_C79A_C6CA,
    0xFF77_B1FC_BEBC_DC4F,
    0xBE56_91EF_416B_D60C,
    0x8DD0_1FAD_907F_FC3C,
    0xD351_5C28_3155_9A83,
    0x9D71_AC8F_ADA6_C9B5,
    0xEA9C_2277_23EE_8BCB,
    0xAECC_4991_4078_536D,
    0x823C_1279_5DB6_CE57,
    0xC210_9436_4DFB_5637,
    0x9096_EA6F_3848_984F,
    0xD774_85CB_2582_3AC7,
    0xA086_CFCD_97BF_97F4,
    0xEF34_0A98_172A_ACE5,
    0xB238_67FB_2A35_B28E,
    0x84C8_D4DF_D2C6_3F3B,
    0xC5DD_4427_1AD3_CDBA,
    0x936B_9FCE_BB25_C996,
    0xDBAC_6C24_7D62_A584,
    0xA3AB_6658_0D5F_DAF6,
    0xF3E2_F893_DEC3_F126,
    0xB5B5_ADA8_AAFF_80B8,
    0x8762_5F05_6C7C_4A8B,
    0xC9BC_FF60_34C1_3053,
    0x964E_858C_91BA_2655,
    0xDFF9_7724_7029_7EBD,
    0xA6DF_BD9F_B8E5_B88F,
    0xF8A9_5FCF_8874_7D94,
    0xB944_7093_8FA8_9BCF,
    0x8A08_F0F8_BF0F_156B,
    0xCDB0_2555_6531_31B6,
    0x993F_E2C6_D07B_7FAC,
    0xE45C_10C4_2A2B_3B06,
    0xAA24_2499_6973_92D3,
    0xFD87_B5F2_8300_CA0E,
    0xBCE5_0864_9211_1AEB,
    0x8CBC_CC09_6F50_88CC,
    0xD1B7_1758_E219_652C,
    0x9C40_0000_0000_0000,
    0xE8D4_A510_0000_0000,
    0xAD78_EBC5_AC62_0000,
    0x813F_3978_F894_0984,
    0xC097_CE7B_C907_15B3,
    0x8F7E_32CE_7BEA_5C70,
    0xD5D2_38A4_ABE9_8068,
    0x9F4F_2726_179A_2245,
    0xED63_A231_D4C4_FB27,
    0xB0DE_6538_8CC8_ADA8,
    0x83C7_088E_1AAB_65DB,
    0xC45D_1DF9_4271_1D9A,
    0x924D_692C_A61B_E758,
    0xDA01_EE64_1A70_8DEA,
    0xA26D_A399_9AEF_774A,
    0xF209_787B_B47D_6B85,
    0xB454_E4A1_79DD_1877,
    0x865B_8692_5B9B_C5C2,
    0xC835_53C5_C896_5D3D,
    0x952A_B45C_FA97_A0B3,
    0xDE46_9FBD_99A0_5FE3,
    0xA59B_C234_DB39_8C25,
    0xF6C6_9A72_A398_9F5C,
    0xB7DC_BF53_54E9_BECE,
    0x88FC_F317_F222_41E2,
    0xCC20_CE9B_D35C_78A5,
    0x9816_5AF3_7B21_53DF,
    0xE2A0_B5DC_971F_303A,
    0xA8D9_D153_5CE3_B396,
    0xFB9B_7CD9_A4A7_443C,
    0xBB76_4C4C_A7A4_4410,
    0x8BAB_8EEF_B640_9C1A,
    0xD01F_EF10_A657_842C,
    0x9B10_A4E5_E991_3129,
    0xE710_9BFB_A19C_0C9D,
    0xAC28_20D9_623B_F429,
    0x8044_4B5E_7AA7_CF85,
    0xBF21_E440_03AC_DD2D,
    0x8E67_9C2F_5E44_FF8F,
    0xD433_179D_9C8C_B841,
    0x9E19_DB92_B4E3_1BA9,
];

#[cfg(test)]
mod tests {
    fn shown(value: f64) -> String {
        let mut out = Vec::new();
        super::write_json_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_have_a_fraction_or_an_exponent() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        ];
        for (value, text) in cases {
            assert_eq!(shown(value), text);
        }
    }

    #[test]
    fn digits_read_back_as_the_same_number() {
        let mut bits = 0x0123_4567_89ab_cdef_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                assert_eq!(shown(value).parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }
}
