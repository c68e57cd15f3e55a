//! A Nix store through its daemon, spoken to as `nix-daemon` is by its clients:
//! the worker protocol, of which only what reading needs is here.
//!
//! Nix has no text on the protocol; `src/libstore/worker-protocol*.cc` and
//! `daemon.cc` of its source are what there is.

mod wire;

use std::fmt;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix_formats::{Hash, HashAlgorithm, StoreDir, StorePath};
use thiserror::Error;

use super::{NarSource, PathInfo, SourceError};
use wire::Wire;

/// What a client says first, and what a daemon answers.
const CLIENT_MAGIC: u64 = 0x6e69_7863;
const DAEMON_MAGIC: u64 = 0x6478_696f;

/// The protocol that we speak, 1.35; a daemon that is newer speaks it too.
const OUR_VERSION: u64 = 0x123;
/// Nix 2.4's, the oldest with errors as they are now.
const OLDEST_VERSION: u64 = 0x11a;

const ADD_TEMP_ROOT: u64 = 11;
const QUERY_PATH_INFO: u64 = 26;
const NAR_FROM_PATH: u64 = 38;

/// Questions sent before the first is answered.
const AHEAD: usize = 32;

/// The Nix daemon of this machine, or any other behind a socket or a pipe.
///
/// Connections are made when they are needed, one for each thread that asks at
/// a time, and kept.
pub struct DaemonStore {
    store_dir: StoreDir,
    connect: Box<Connect>,
    /// Whether what it is asked about is kept from being collected.
    holds: bool,
    idle: Mutex<Vec<Connection>>,
}

type Connect = dyn Fn() -> Result<Connection, DaemonError> + Send + Sync;

/// The daemon can't be talked to.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// No socket, or no daemon behind it.
    #[error("cannot connect to the Nix daemon at '{socket}'")]
    Connect {
        /// The socket.
        socket: String,
        /// Why.
        source: io::Error,
    },
    /// The program can't be run.
    #[error("cannot run '{program}'")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// Another protocol, or none.
    #[error("it speaks version {}.{} of the protocol, and 1.26 or newer is needed", .0 >> 8, .0 & 0xff)]
    Version(u64),
    /// It does not speak the protocol.
    #[error("unexpected {what}: {found:#x}")]
    Unexpected {
        /// What it is in the place of.
        what: &'static str,
        /// What came.
        found: u64,
    },
    /// A text or list longer than any is.
    #[error("a {what} of {length} is too long")]
    TooLong {
        /// Text or list.
        what: &'static str,
        /// How long.
        length: u64,
    },
    /// A text that is not what it must be.
    #[error("'{text}' is no {what}")]
    Invalid {
        /// What it must be.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// It says that something failed.
    #[error("the daemon says: {0}")]
    Told(String),
}

impl fmt::Debug for DaemonStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DaemonStore")
            .field("store_dir", &self.store_dir)
            .finish_non_exhaustive()
    }
}

/// A connection, and what must end with it.
struct Connection {
    wire: Wire<Box<dyn Read + Send>, Box<dyn Write + Send>>,
    _process: Option<Process>,
}

/// Is ended and waited for when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Its input has ended; should it not take the hint, it is made to.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl DaemonStore {
    /// The daemon that listens on a Unix socket.
    pub fn connect(store_dir: StoreDir, socket: &Path) -> Result<Self, DaemonError> {
        let socket = socket.to_owned();
        Self::with(store_dir, move || {
            let failed = |source| DaemonError::Connect {
                socket: socket.display().to_string(),
                source,
            };
            let stream = UnixStream::connect(&socket).map_err(failed)?;
            let input = stream.try_clone().map_err(failed)?;
            Connection::start(Box::new(input), Box::new(stream), None)
        })
    }

    /// A daemon of our own: `program --stdio`, as `nix-daemon` knows it. Where
    /// no daemon listens, it reads the store itself. The store's files are
    /// below `root` (`/` as a rule).
    pub fn run(store_dir: StoreDir, program: &Path, root: &Path) -> Result<Self, DaemonError> {
        let (program, root) = (program.to_owned(), root.to_owned());
        Self::with(store_dir, move || {
            let failed = |source| DaemonError::Run {
                program: program.display().to_string(),
                source,
            };
            let mut command = Command::new(&program);
            command.arg("--stdio");
            if root != Path::new("/") {
                command.arg("--store").arg(&root);
            }
            let mut process = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(failed)?;
            let ends = process.stdin.take().zip(process.stdout.take());
            let process = Process(process);
            let (input, output) = ends.ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
            Connection::start(Box::new(output), Box::new(input), Some(process))
        })
    }

    /// A daemon at the other end of a pipe or any other stream, for one
    /// connection.
    pub fn over(
        store_dir: StoreDir,
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
    ) -> Result<Self, DaemonError> {
        type Ends = (Box<dyn Read + Send>, Box<dyn Write + Send>);
        let ends: Mutex<Option<Ends>> = Mutex::new(Some((Box::new(input), Box::new(output))));
        Self::with(store_dir, move || {
            let ends = ends.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (input, output) =
                ends.ok_or_else(|| DaemonError::Broken(io::ErrorKind::NotConnected.into()))?;
            Connection::start(input, output, None)
        })
    }

    /// One connection is made at once, to see whether it can be.
    fn with(
        store_dir: StoreDir,
        connect: impl Fn() -> Result<Connection, DaemonError> + Send + Sync + 'static,
    ) -> Result<Self, DaemonError> {
        let first = connect()?;
        Ok(Self {
            store_dir,
            connect: Box::new(connect),
            holds: false,
            idle: Mutex::new(vec![first]),
        })
    }

    /// From now on, paths that it is asked about are kept from being
    /// collected: each as long as the connection that asked, which is kept.
    #[must_use]
    pub fn holding(self) -> Self {
        Self {
            holds: true,
            ..self
        }
    }

    /// Calls `ask` with a connection, which is kept if all went well.
    fn ask<T, E: From<DaemonError>>(
        &self,
        ask: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => (self.connect)()?,
        };
        let answer = ask(&mut connection)?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        Ok(answer)
    }
}

impl NarSource for DaemonStore {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        self.ask(|connection| {
            let mut infos = Vec::with_capacity(paths.len());
            for paths in paths.chunks(AHEAD) {
                for path in paths {
                    let printed = self.store_dir.print(path);
                    // Held first, or it could be collected between the two.
                    if self.holds {
                        connection.wire.put_number(ADD_TEMP_ROOT)?;
                        connection.wire.put_text(printed.as_bytes())?;
                    }
                    connection.wire.put_number(QUERY_PATH_INFO)?;
                    connection.wire.put_text(printed.as_bytes())?;
                }
                connection.wire.flush()?;
                for path in paths {
                    if self.holds {
                        connection.wire.until_done()?;
                        let _one = connection.wire.number()?;
                    }
                    infos.push(connection.path_info(&self.store_dir, path)?);
                }
            }
            Ok(infos)
        })
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        self.ask(|connection| {
            let path = self.store_dir.print(&info.path);
            connection.wire.put_number(NAR_FROM_PATH)?;
            connection.wire.put_text(path.as_bytes())?;
            connection.wire.flush()?;
            connection.wire.until_done()?;
            connection.wire.copy(info.nar_size, out)
        })
    }
}

impl Connection {
    /// Shakes hands.
    fn start(
        input: Box<dyn Read + Send>,
        output: Box<dyn Write + Send>,
        process: Option<Process>,
    ) -> Result<Self, DaemonError> {
        let mut wire = Wire::new(
            BufReader::with_capacity(64 * 1024, input),
            BufWriter::new(output),
        );
        wire.put_number(CLIENT_MAGIC)?;
        wire.put_number(OUR_VERSION)?;
        wire.flush()?;
        let magic = wire.number()?;
        if magic != DAEMON_MAGIC {
            return Err(DaemonError::Unexpected {
                what: "greeting",
                found: magic,
            });
        }
        let version = wire.number()?;
        if version >> 8 != OUR_VERSION >> 8 || version < OLDEST_VERSION {
            return Err(DaemonError::Version(version));
        }
        let version = version.min(OUR_VERSION);
        // Which processor to run on, and whether to keep room free: unused.
        wire.put_number(0)?;
        wire.put_number(0)?;
        wire.flush()?;
        if version & 0xff >= 33 {
            let _nix_version = wire.text()?;
        }
        if version & 0xff >= 35 {
            let _is_trusted = wire.number()?;
        }
        wire.until_done()?;
        Ok(Self {
            wire,
            _process: process,
        })
    }

    fn path_info(
        &mut self,
        store_dir: &StoreDir,
        path: &StorePath,
    ) -> Result<Option<PathInfo>, DaemonError> {
        let wire = &mut self.wire;
        wire.until_done()?;
        if wire.number()? == 0 {
            return Ok(None);
        }
        let store_path = |text: &str| {
            store_dir.parse(text).map_err(|_| DaemonError::Invalid {
                what: "store path",
                text: text.to_owned(),
            })
        };
        let deriver = match wire.text()? {
            text if text.is_empty() => None,
            text => Some(store_path(&text)?),
        };
        let hash = wire.text()?;
        let parsed = Hash::parse_any(&hash, Some(HashAlgorithm::Sha256));
        let nar_hash = parsed.ok().and_then(|hash| hash.try_into().ok());
        let nar_hash = nar_hash.ok_or(DaemonError::Invalid {
            what: "SHA-256",
            text: hash,
        })?;
        let references = wire
            .texts()?
            .iter()
            .map(|text| store_path(text))
            .collect::<Result<_, _>>()?;
        let _registered = wire.number()?;
        let nar_size = wire.number()?;
        let _is_built_here = wire.number()?;
        let signatures = wire
            .texts()?
            .into_iter()
            .map(|text| {
                text.parse().map_err(|_| DaemonError::Invalid {
                    what: "signature",
                    text,
                })
            })
            .collect::<Result<_, _>>()?;
        let ca = match wire.text()? {
            text if text.is_empty() => None,
            text => Some(text.parse().map_err(|_| DaemonError::Invalid {
                what: "content address",
                text,
            })?),
        };
        Ok(Some(PathInfo {
            path: path.clone(),
            nar_hash,
            nar_size,
            references,
            deriver,
            signatures,
            ca,
        }))
    }
}
