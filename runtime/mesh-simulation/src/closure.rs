//! Closures as they are in practice: sizes of compressed NARs.

/// A kind of closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// 30 paths, 60 MB: a small service.
    Service,
    /// 300 paths, 300 MB: an application with its interpreter.
    Application,
    /// 80 paths, 1.2 GB, half of it one path: a model, or CUDA.
    OneLargePath,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Service, Self::Application, Self::OneLargePath];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "30 paths, 60 MB",
            Self::Application => "300 paths, 300 MB",
            Self::OneLargePath => "80 paths, 1.2 GB, one of them 600 MB",
        }
    }
}

/// The sizes of the files of a closure, in bytes; the same each time. Most are small, and a few are most of the bytes.
pub fn closure(shape: Shape) -> Vec<u64> {
    const MB: u64 = 1_000_000;
    match shape {
        Shape::Service => sizes(30, 60 * MB),
        Shape::Application => sizes(300, 300 * MB),
        Shape::OneLargePath => {
            let mut sizes = sizes(79, 600 * MB);
            sizes.insert(40, 600 * MB);
            sizes
        }
    }
}

/// Log-normal sizes with this sum, about.
fn sizes(count: usize, sum: u64) -> Vec<u64> {
    let mut random = Random(count as u64);
    let weights: Vec<f64> = (0..count).map(|_| (1.5 * random.normal()).exp()).collect();
    let all: f64 = weights.iter().sum();
    let size = |weight: f64| (weight / all * sum as f64) as u64 + 1;
    weights.into_iter().map(size).collect()
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Box and Muller's.
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}
