//! The labels of metrics. Their values and meanings are written once: the reference page is made from this table.

use niphas_store::Limit;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// Enums whose variants have a name, which is the label's value, and one line of documentation, which is its meaning.
macro_rules! values {
    ($($(#[$about:meta])* $label:ident { $($(#[doc = $meaning:literal])+ $variant:ident = $name:literal,)+ })+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum $label { $($(#[doc = $meaning])+ $variant,)+ }

        impl $label {
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)+];

            #[cfg(test)]
            pub(super) fn meanings() -> Vec<(&'static str, &'static str)> {
                vec![$(($name, concat!($($meaning),+).trim_ascii()),)+]
            }
        }

        impl EncodeLabelValue for $label {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                EncodeLabelValue::encode(&self.name(), encoder)
            }
        }
    )+};
}

values! {
    /// How a publish was answered.
    Answer {
        /// Published.
        Published = "ok",
        /// An error after which kubelet asks again and joins.
        Retry = "retry",
        /// An error after which kubelet starts over.
        Refused = "refused",
    }

    /// How something else ended.
    Outcome {
        /// It succeeded.
        Ok = "ok",
        /// It failed.
        Failed = "failed",
    }

    /// From where a volume was published.
    Start {
        /// The volume was published already.
        Published = "published",
        /// The closure was mounted on the node: a bind mount.
        Mounted = "mounted",
        /// The closure was in the store: a mount and a bind mount.
        Realised = "realised",
        /// Some paths of the closure were fetched, or the publish failed.
        Cold = "cold",
    }

    /// A remote procedure.
    Method {
        /// `NodePublishVolume`.
        Publish = "publish",
        /// `NodeUnpublishVolume`.
        Unpublish = "unpublish",
    }

    /// Where the paths of a closure came from.
    Source {
        /// Fetched from a cache, also by realisations that failed later.
        Fetched = "fetched",
        /// In the store already.
        Stored = "stored",
        /// Fetched from a cache and discarded.
        Failed = "failed",
    }

    /// What began a garbage collection.
    Cause {
        /// The driver's regular check of the disk.
        Interval = "interval",
        /// A closure that had to be fetched, and for which there was no room.
        Fetch = "fetch",
    }

    /// Why a volume was not published.
    Reason {
        /// The request: attributes, identifier, target or capability.
        Request = "request",
        /// kubelet did not say whose pod the volume is for.
        NoPodInfo = "no_pod_info",
        /// Too many volumes were being published.
        TooManyCalls = "too_many_calls",
        /// Another volume, another closure or a foreign mount at the target.
        Target = "target",
        /// No cache has the closure yet.
        MayCome = "may_come",
        /// No space on the disk.
        NoSpace = "no_space",
        /// `limits.roots`.
        LimitRoots = "limit_roots",
        /// `limits.paths`.
        LimitPaths = "limit_paths",
        /// `limits.closureSize`.
        LimitClosureSize = "limit_closure_size",
        /// `limits.narSize`.
        LimitNarSize = "limit_nar_size",
        /// `limits.disk`.
        LimitDisk = "limit_disk",
        /// The memory for the narinfos of one closure.
        LimitNarinfos = "limit_narinfos",
        /// The closure has another digest than the one that the pod names.
        Digest = "digest",
        /// No cache gives the closure, or no signature of it is trusted.
        Unavailable = "unavailable",
        /// A NAR that cannot be fetched, differs from its narinfo, or cannot be stored.
        Nar = "nar",
        /// Another failure of the store.
        Store = "store",
        /// A mount or a file of the node.
        Node = "node",
    }
}

impl<T, E> From<&Result<T, E>> for Outcome {
    fn from(result: &Result<T, E>) -> Self {
        if result.is_ok() {
            Self::Ok
        } else {
            Self::Failed
        }
    }
}

impl From<Limit> for Reason {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Roots => Self::LimitRoots,
            Limit::Paths => Self::LimitPaths,
            Limit::ClosureSize => Self::LimitClosureSize,
            Limit::NarSize => Self::LimitNarSize,
            Limit::Disk => Self::LimitDisk,
            Limit::Narinfos => Self::LimitNarinfos,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PublishLabels {
    pub(super) outcome: Answer,
    pub(super) start: Start,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CollectionLabels {
    pub(super) cause: Cause,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CauseLabels {
    pub(super) cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct MethodLabels {
    pub(super) method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SourceLabels {
    pub(super) source: Source,
}
