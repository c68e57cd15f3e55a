//! A cache in a bucket of S3, or of a server that speaks its protocol.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, RetryConfig, WriteMultipart,
};

use super::s3_client::Connector;
use super::{Body, Opened, Payload, is_inside};
use crate::error::FetchError;
use crate::limits::Limits;
use crate::s3_profile;
use crate::s3_url::S3Url;

/// Larger files are sent in parts of this size, several at once.
const PART: usize = 16 << 20;
const PARTS_AT_ONCE: usize = 4;

pub(crate) struct Bucket {
    store: AmazonS3,
    prefix: String,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").finish_non_exhaustive()
    }
}

impl Bucket {
    pub(crate) fn new(url: &S3Url, limits: &Limits) -> Result<Self, object_store::Error> {
        // One provider for the whole process; the first one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = ClientOptions::new()
            .with_allow_http(url.endpoint().is_some_and(|it| it.starts_with("http://")))
            .with_connect_timeout(limits.connect_timeout)
            .with_read_timeout(limits.read_timeout)
            .with_timeout_disabled();
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&url.bucket)
            .with_client_options(options)
            .with_http_connector(Connector)
            // Retries are ours, as for every cache.
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            });
        let profile = s3_profile::read(url.profile.as_deref());
        if let Some(keys) = &profile.keys {
            builder = builder
                .with_access_key_id(&keys.id)
                .with_secret_access_key(&keys.secret);
            if let Some(token) = &keys.token {
                builder = builder.with_token(token);
            }
        }
        let region = url.region.clone().or(profile.region);
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = url.endpoint() {
            builder = builder
                .with_endpoint(endpoint)
                .with_virtual_hosted_style_request(false);
        }
        Ok(Self {
            store: builder.build()?,
            prefix: url.prefix.clone(),
        })
    }

    fn path(&self, name: &str) -> Result<Path, FetchError> {
        let outside = || FetchError::Outside {
            name: name.to_owned(),
        };
        if !is_inside(name) {
            return Err(outside());
        }
        Path::parse(format!("{}{name}", self.prefix)).map_err(|_| outside())
    }

    pub(super) async fn get(&self, name: &str, max: usize) -> Result<Option<Bytes>, FetchError> {
        let Some(opened) = self.open(name, 0).await? else {
            return Ok(None);
        };
        let (mut body, mut bytes) = (opened.body, BytesMut::new());
        while let Some(piece) = body.next().await? {
            if bytes.len() + piece.len() > max {
                return Err(FetchError::TooLarge {
                    name: name.to_owned(),
                    limit: max,
                });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes.freeze()))
    }

    pub(super) async fn open(&self, name: &str, from: u64) -> Result<Option<Opened>, FetchError> {
        let options = GetOptions {
            range: (from > 0).then_some(GetRange::Offset(from)),
            ..GetOptions::default()
        };
        match self.store.get_opts(&self.path(name)?, options).await {
            Ok(result) => Ok(Some(Opened {
                start: result.range.start,
                length: Some(result.meta.size),
                version: result.meta.e_tag.clone(),
                body: Body::S3(Pieces {
                    stream: result.into_stream(),
                    name: name.to_owned(),
                }),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(name, error)),
        }
    }

    pub(super) async fn exists(&self, name: &str) -> Result<bool, FetchError> {
        match self.store.head(&self.path(name)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(name, error)),
        }
    }

    pub(super) async fn put(
        &self,
        name: &str,
        content_type: &'static str,
        payload: &Payload,
    ) -> Result<(), FetchError> {
        let path = self.path(name)?;
        let attributes = Attributes::from_iter([(Attribute::ContentType, content_type.to_owned())]);
        if let Payload::Memory(bytes) = payload {
            let options = PutOptions {
                attributes,
                ..PutOptions::default()
            };
            let put = self.store.put_opts(&path, bytes.clone().into(), options);
            put.await.map_err(|error| failed(name, error))?;
            return Ok(());
        }
        let options = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let upload = self.store.put_multipart_opts(&path, options).await;
        let upload = upload.map_err(|error| failed(name, error))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut pieces = payload.pieces();
        let sent = async {
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| FetchError::File {
                    path: "the compressed NAR".to_owned(),
                    source: Arc::new(error),
                })?;
                parts
                    .wait_for_capacity(PARTS_AT_ONCE)
                    .await
                    .map_err(|error| failed(name, error))?;
                parts.put(piece);
            }
            Ok(())
        };
        match sent.await {
            Ok(()) => {
                parts.finish().await.map_err(|error| failed(name, error))?;
                Ok(())
            }
            Err(error) => {
                // Parts of an upload that never ends would be paid for.
                let _ = parts.abort().await;
                Err(error)
            }
        }
    }
}

pub(crate) struct Pieces {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    name: String,
}

impl Pieces {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let piece = self.stream.next().await.transpose();
        piece.map_err(|error| failed(&self.name, error))
    }
}

fn failed(name: &str, error: object_store::Error) -> FetchError {
    FetchError::S3 {
        name: name.to_owned(),
        error: Arc::new(error),
    }
}
