//! On which terms a request is served: whose it is, how much it may ask for, and which caches its section of the
//! configuration has.

use std::fmt;
use std::sync::Arc;

use niphas_api::{ClosureDigest, ClosureLines};

/// A cache as one section of the configuration has it: its URL, and where its credentials come from. Two sections with the
/// same origin get the same answers from it, so what it delivered to one of them the other may have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin([u8; 16]);

impl Origin {
    /// The origin of a URL and a text that names the credentials: who is logged in and where the secret is kept, not the
    /// secret, so that a secret can be rotated.
    pub fn new(url: &str, credentials: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(url.len() as u64).to_le_bytes());
        hasher.update(url.as_bytes());
        hasher.update(credentials.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(bytes)
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How much one request may ask for, and how many of one holder are served at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Roots of a closure.
    pub roots: usize,
    /// Paths of a closure.
    pub paths: usize,
    /// Bytes of all NARs of a closure.
    pub closure_size: u64,
    /// Bytes of one NAR.
    pub nar_size: u64,
    /// Realisations of one holder that go on at the same time; others wait.
    pub realisations: usize,
}

/// More paths than any closure has.
pub(crate) const MAX_PATHS: usize = 200_000;

/// What people may ask of a store of their own.
impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            roots: MAX_PATHS,
            paths: MAX_PATHS,
            closure_size: u64::MAX,
            nar_size: u64::MAX,
            realisations: usize::MAX,
        }
    }
}

/// Something that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`RequestLimits::roots`].
    Roots,
    /// [`RequestLimits::paths`].
    Paths,
    /// [`RequestLimits::closure_size`].
    ClosureSize,
    /// [`RequestLimits::nar_size`].
    NarSize,
    /// What all closures of one holder may take of the disk.
    Disk,
    /// Memory for what caches say of the paths of one closure.
    Narinfos,
}

impl Limit {
    /// Its name in a configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roots => "roots",
            Self::Paths => "paths",
            Self::ClosureSize => "closureSize",
            Self::NarSize => "narSize",
            Self::Disk => "disk",
            Self::Narinfos => "narinfos",
        }
    }
}

/// A request asks for more than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitExceeded {
    /// Of what.
    pub limit: Limit,
    /// How much it may.
    pub allowed: u64,
    /// How much it asks for, or the part of it that was counted.
    pub found: u64,
}

impl std::error::Error for LimitExceeded {}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allowed, found, .. } = self;
        match self.limit {
            Limit::Roots => write!(
                f,
                "{found} roots were asked for, and the limit is {allowed}"
            ),
            Limit::Paths => write!(
                f,
                "the closure has at least {found} paths, and the limit is {allowed}"
            ),
            Limit::ClosureSize => {
                write!(
                    f,
                    "the NARs of the closure have at least {found} bytes, and the limit is {allowed}"
                )
            }
            Limit::NarSize => write!(
                f,
                "a NAR of the closure has {found} bytes, and the limit is {allowed}"
            ),
            Limit::Disk => write!(
                f,
                "the closures in use by this namespace on this node would have {found} bytes of NARs, and the limit is {allowed}"
            ),
            Limit::Narinfos => write!(
                f,
                "what the caches say of the closure takes at least {found} bytes of memory, and the limit is {allowed}"
            ),
        }
    }
}

impl LimitExceeded {
    pub(crate) fn check(limit: Limit, found: u64, allowed: u64) -> Result<(), Self> {
        if found <= allowed {
            return Ok(());
        }
        Err(Self {
            limit,
            allowed,
            found,
        })
    }
}

/// Decides, of a closure all of whose paths are known and that has this digest, whether it may be fetched.
pub type Admit =
    Arc<dyn Fn(ClosureDigest, &ClosureLines) -> Result<(), LimitExceeded> + Send + Sync>;

/// On which terms a request is served. The default is for people: nothing is refused them that the keys trust.
#[derive(Clone, Default)]
pub struct Terms {
    /// Whose request it is: no holder keeps all others waiting.
    pub holder: Arc<str>,
    /// What each of the request's caches is known as, in their order.
    pub origins: Arc<[Origin]>,
    /// Whether a stored path counts only if one of these origins has delivered it.
    pub must_be_delivered: bool,
    /// How much may be asked for.
    pub limits: RequestLimits,
    /// Asked before anything is fetched.
    pub admit: Option<Admit>,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("holder", &self.holder)
            .field("origins", &self.origins)
            .field("must_be_delivered", &self.must_be_delivered)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
