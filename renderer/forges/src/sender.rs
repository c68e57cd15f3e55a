//! Sends calls.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request};
use niphas_http::{
    Failure, Limits, Redacted, Retries, RetryPolicy, Secret, SetupError, client_of_certificates,
    client_without_redirects, is_same_origin, next_hop,
};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::answer::{Answer, Call, ReadError};
use crate::auth::{Credentials, GitHubApp, basic_header, token_header};
use crate::error::{ForgeError, message};
use crate::limits;
use crate::repository::Repository;

/// The most that is read of an answer. Gitea gives all comments of a pull request at once.
const ANSWER_LIMIT: usize = 8 << 20;
/// The time of a request with its answer.
const ANSWER_TIME: Duration = Duration::from_mins(1);
/// GitHub's tokens of an installation end after an hour.
const TOKEN_LIFE: Duration = Duration::from_mins(50);

/// The connections to hosts. Clients of many repositories share it.
#[derive(Debug, Clone)]
pub struct Http(reqwest::Client);

impl Http {
    /// Connections to hosts that the machine's certificates vouch for.
    pub fn new(limits: &Limits) -> Result<Self, SetupError> {
        client_without_redirects(limits).map(Self)
    }

    /// Connections to hosts that these certificates vouch for, in PEM, and no others.
    pub fn of_certificates(limits: &Limits, certificates: &[u8]) -> Result<Self, SetupError> {
        client_of_certificates(limits, certificates).map(Self)
    }
}

/// Sends calls with credentials, one after the other.
#[derive(Debug)]
pub(crate) struct Sender {
    http: Http,
    repository: Repository,
    credentials: Credentials,
    retries: RetryPolicy,
    /// Held while a request is under way.
    turn: tokio::sync::Mutex<()>,
    limited_until: Mutex<Option<Instant>>,
    installation: Mutex<Option<(Secret, Instant)>>,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

impl Sender {
    pub(crate) fn new(
        http: Http,
        repository: Repository,
        credentials: Credentials,
        retries: RetryPolicy,
    ) -> Self {
        Self {
            http,
            repository,
            credentials,
            retries,
            turn: tokio::sync::Mutex::default(),
            limited_until: Mutex::default(),
            installation: Mutex::default(),
        }
    }

    pub(crate) fn app(&self) -> Option<&GitHubApp> {
        match &self.credentials {
            Credentials::GitHubApp(app) => Some(app),
            _ => None,
        }
    }

    pub(crate) async fn installation_token(&self) -> Result<Option<Secret>, ForgeError> {
        match self.app() {
            Some(app) => self.token_of(app).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends a call, and reads its answer.
    pub(crate) async fn send<T: 'static>(&self, call: &Call<T>) -> Result<T, ForgeError> {
        let authorization = self.authorization().await?;
        match self.exchange(call, &authorization).await {
            // The installation's token may have been revoked before its time.
            Err(error) if error.is_refusal(&[401]) && self.forget_installation_token() => {
                let authorization = self.authorization().await?;
                self.exchange(call, &authorization).await
            }
            result => result,
        }
    }

    async fn authorization(&self) -> Result<HeaderValue, ForgeError> {
        let forge = self.repository.forge();
        let header = match &self.credentials {
            Credentials::Token(token) => token_header(forge, token),
            Credentials::Basic { user, password } => basic_header(user, password),
            Credentials::GitHubApp(app) => token_header(forge, &self.token_of(app).await?),
        };
        header.ok_or(ForgeError::Credentials)
    }

    fn forget_installation_token(&self) -> bool {
        let mut known = self
            .installation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.take().is_some()
    }

    async fn token_of(&self, app: &GitHubApp) -> Result<Secret, ForgeError> {
        let known = || {
            self.installation
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((token, end)) = &*known()
            && *end > Instant::now()
        {
            return Ok(token.clone());
        }
        let forge = self.repository.forge();
        let own = app.token(SystemTime::now())?;
        let own = token_header(forge, &own).ok_or(ForgeError::Credentials)?;
        let (owner, name) = (self.repository.owner(), self.repository.name());
        let id = if let Some(id) = app.installation() {
            id
        } else {
            let url = self.repository.url(["repos", owner, name, "installation"]);
            let read = |found: Installation| Ok(found.id);
            let call = Call::json(forge, Method::GET, &url, None, read);
            self.exchange(&call, &own).await?
        };
        let id = id.to_string();
        let url = self
            .repository
            .url(["app", "installations", &id, "access_tokens"]);
        let body = json!({"repositories": [name]});
        let read = |found: Token| Ok(Secret::from(found.token));
        let call = Call::json(forge, Method::POST, &url, Some(&body), read).repeated();
        let began = Instant::now();
        let token = self.exchange(&call, &own).await?;
        *known() = Some((token.clone(), began + TOKEN_LIFE));
        Ok(token)
    }

    async fn exchange<T: 'static>(
        &self,
        call: &Call<T>,
        authorization: &HeaderValue,
    ) -> Result<T, ForgeError> {
        let _turn = self.turn.lock().await;
        let mut retries = Retries::new(&self.retries);
        self.wait_for_limit().await?;
        loop {
            let (error, failure, repeats) = match self.attempt(&call.request, authorization).await {
                Ok(answer) => match self.limited(&answer) {
                    // A request that a limit refuses did nothing.
                    Some(pause) => {
                        let failure = Failure::Status {
                            status: answer.status,
                            retry_after: Some(pause),
                        };
                        (ForgeError::Limited { pause }, failure, true)
                    }
                    None => match call.read(&answer) {
                        Ok(value) => return Ok(value),
                        Err(source) => {
                            let failure = Failure::Status {
                                status: answer.status,
                                retry_after: None,
                            };
                            let error = refused(call, &answer, source);
                            (error, failure, call.repeats)
                        }
                    },
                },
                Err(error) => {
                    let failure = match &error {
                        ForgeError::Send { source, .. } => Failure::of(source),
                        ForgeError::Slow { .. } => Failure::Broken,
                        _ => Failure::Lasting,
                    };
                    let is_unsent =
                        matches!(&error, ForgeError::Send { source, .. } if source.is_connect());
                    (error, failure, call.repeats || is_unsent)
                }
            };
            let Some(pause) = retries.after(failure).filter(|_| repeats) else {
                return Err(error);
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits for the end of a limit that an earlier answer spoke of, if it is near.
    async fn wait_for_limit(&self) -> Result<(), ForgeError> {
        let until = *self
            .limited_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let pause = until.map(|until| until.saturating_duration_since(Instant::now()));
        match pause {
            Some(pause) if pause > self.retries.patience => Err(ForgeError::Limited { pause }),
            Some(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn limited(&self, answer: &Answer) -> Option<Duration> {
        let pause = limits::pause(answer, SystemTime::now())?;
        let until = Instant::now() + pause;
        *self
            .limited_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(until);
        Some(pause)
    }

    /// One request, with the redirects that it meets.
    async fn attempt(
        &self,
        request: &Request<Vec<u8>>,
        authorization: &HeaderValue,
    ) -> Result<Answer, ForgeError> {
        let work = async {
            let origin = self.repository.api();
            let mut url = Url::parse(&request.uri().to_string()).expect("it was made of a URL");
            let mut hops = 0;
            loop {
                let answer = self.exchange_once(request, &url, authorization).await?;
                let location = answer.header(LOCATION.as_str());
                let Some(location) = location.filter(|_| is_redirect(answer.status)) else {
                    return Ok(answer);
                };
                hops += 1;
                let to = next_hop(&url, location, hops);
                let to = to.map_err(|source| ForgeError::Redirect {
                    request: name(request),
                    to: Redacted::from(nix_formats::shortened(location, 200).as_ref()),
                    source,
                })?;
                if !is_same_origin(origin, &to) {
                    let to = Redacted::from(nix_formats::shortened(to.as_str(), 200).as_ref());
                    return Err(ForgeError::OtherHost {
                        request: name(request),
                        to,
                    });
                }
                url = to;
            }
        };
        let timed = tokio::time::timeout(ANSWER_TIME, work).await;
        timed.unwrap_or_else(|_| {
            Err(ForgeError::Slow {
                request: name(request),
                after: ANSWER_TIME,
            })
        })
    }

    async fn exchange_once(
        &self,
        request: &Request<Vec<u8>>,
        url: &Url,
        authorization: &HeaderValue,
    ) -> Result<Answer, ForgeError> {
        let failed = |source: reqwest::Error| ForgeError::Send {
            request: name(request),
            source: source.without_url(),
        };
        let mut sent = self.http.0.request(request.method().clone(), url.clone());
        sent = sent.headers(request.headers().clone());
        sent = sent.header(AUTHORIZATION, authorization.clone());
        if request.headers().contains_key(CONTENT_TYPE) {
            sent = sent.body(request.body().clone());
        }
        let mut response = sent.send().await.map_err(failed)?;
        let mut answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
        };
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if answer.body.len() + piece.len() > ANSWER_LIMIT {
                return Err(ForgeError::TooLarge {
                    request: name(request),
                    limit: ANSWER_LIMIT,
                });
            }
            answer.body.extend_from_slice(&piece);
        }
        Ok(answer)
    }
}

/// Redirects after which the method stays: GitHub sends the first two where a repository was renamed, and means the same method.
fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 307 | 308)
}

fn refused<T: 'static>(call: &Call<T>, answer: &Answer, source: ReadError) -> ForgeError {
    let request = name(&call.request);
    if answer.is_success() {
        return ForgeError::Read { request, source };
    }
    ForgeError::Refused {
        request,
        status: answer.status,
        message: message(answer),
    }
}

/// A request in messages: its method and path. What is asked for in the query is not needed.
fn name(request: &Request<Vec<u8>>) -> String {
    let path = nix_formats::shortened(request.uri().path(), 200);
    format!("{} {path}", request.method())
}
