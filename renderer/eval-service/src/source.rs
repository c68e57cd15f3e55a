//! A source as far as the cluster is needed for it: its Secrets, and whether it may do what it says.

use std::sync::Arc;

use kube::{Client, ResourceExt as _};
use niphas_api::source::{BuildMode, NiphasSource, RunResult, SecretReference, TargetMode};
use niphas_build_jobs::schedule::SourceRef;
use niphas_git::Login;
use tokio_util::sync::CancellationToken;

use crate::builds::BuildRun;
use crate::cluster::{key_of, secret};
use crate::controller::{Context, folder};
use crate::fetch::Branch;
use crate::forge::Place;
use crate::policy::Policy;
use crate::run::{Failure, Run};
use crate::target::Mode;
use crate::{hook, login, proposal};

/// What a look found.
pub(crate) enum Look {
    /// The branch is at this commit.
    At {
        tip: String,
        webhook_path: Option<String>,
    },
    /// The source may not do what it says.
    Refused {
        why: String,
        webhook_path: Option<String>,
    },
}

/// Looks where a source's branch is. An error is said to the owner of the source.
pub(crate) async fn look(
    client: &Client,
    policy: &Policy,
    source: &NiphasSource,
) -> Result<Look, String> {
    let namespace = source.namespace().unwrap_or_default();
    let webhook_path = match hook::secrets(client, source).await {
        Ok(secrets) => hook::path(source, &secrets),
        Err(error) => return Err(nix_formats::chain(&error)),
    };
    if let Err(refusal) = policy.admits(&namespace, &source.spec) {
        let why = refusal.to_string();
        return Ok(Look::Refused { why, webhook_path });
    }
    let flake = &source.spec.flake;
    let login = login(client, &namespace, &flake.url, flake.secret_ref.as_ref()).await?;
    let branch = Branch {
        url: flake.url.clone(),
        name: flake.branch.clone(),
        revision: None,
        dir: flake.dir.clone(),
        login: Arc::new(login),
    };
    let tip = tokio::task::spawn_blocking(move || branch.tip()).await;
    let tip = tip.map_err(|error| format!("the service failed: {error}"))?;
    let tip = tip.map_err(|error| error.to_string())?;
    Ok(Look::At { tip, webhook_path })
}

/// What a run of a source needs.
pub(crate) async fn prepare(
    context: &Context,
    source: &NiphasSource,
    retries: bool,
) -> Result<Run, Failure> {
    let (client, policy) = (&context.client, &*context.policy);
    let namespace = source.namespace().unwrap_or_default();
    let failure = |message: String, is_passing: bool| Failure {
        result: RunResult::EvaluationFailed,
        message,
        is_passing,
    };
    let spec = source.spec.clone();
    let of_namespace = policy.admits(&namespace, &spec);
    let of_namespace = of_namespace.map_err(|refusal| failure(refusal.to_string(), false))?;
    let (flake, target) = (&spec.flake, &spec.target);
    let flake_login = login(client, &namespace, &flake.url, flake.secret_ref.as_ref()).await;
    let target_login = login(client, &namespace, &target.url, target.secret_ref.as_ref()).await;
    let passing = |message| failure(message, true);
    let key = key_of(source);
    let proposal = source.status.as_ref();
    let proposal = proposal.and_then(|status| status.proposal.clone());
    let (mode, target_host) = match target.mode {
        TargetMode::Commit => (Mode::Commit, None),
        TargetMode::PullRequest => {
            let webhook = spec.webhook.as_ref().map(|webhook| webhook.provider);
            let place = Place {
                namespace: &namespace,
                provider: target.provider.or(webhook),
                url: &target.url,
                secret: target.secret_ref.as_ref(),
            };
            let host = context.hosts.client(client, place).await;
            let host = host.map_err(|error| {
                Failure::passing(RunResult::RenderFailed, nix_formats::chain(&error))
            })?;
            let branch = proposal::branch(&key);
            let proposed = proposal.as_ref().map(|proposal| proposal.commit.clone());
            (Mode::Propose { branch, proposed }, host)
        }
    };
    let may_build = of_namespace.builds && spec.build.mode == BuildMode::Missing;
    let builds = context.builds.clone().filter(|_| may_build);
    Ok(Run {
        key,
        revision: None,
        mode,
        proposal,
        target_host,
        turns: Arc::clone(&context.turns),
        builds: builds.map(|shop| BuildRun {
            shop,
            source: SourceRef {
                namespace: namespace.as_str().into(),
                name: source.name_any().into(),
            },
            policy: spec.build.clone(),
            page: None,
            retries,
        }),
        policy: of_namespace.clone(),
        limits: policy.limits,
        folder: folder(policy, source),
        flake_login: Arc::new(flake_login.map_err(passing)?),
        target_login: Arc::new(target_login.map_err(passing)?),
        cancelled: CancellationToken::new(),
        spec,
    })
}

/// The login for a repository: of a Secret of the source's own namespace, or none.
async fn login(
    client: &Client,
    namespace: &str,
    url: &str,
    reference: Option<&SecretReference>,
) -> Result<Login, String> {
    let Some(SecretReference { name }) = reference else {
        return login::anonymous(url).map_err(|error| error.to_string());
    };
    let found = secret(client, namespace, name).await;
    match found.map_err(|error| nix_formats::chain(&error))? {
        Some(secret) => login::of_secret(url, &secret).map_err(|error| error.to_string()),
        None => Err(format!("the namespace has no Secret '{name}'")),
    }
}
