//! The terminal that a builder writes to.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// The end of a pseudoterminal that reads what a builder writes.
#[derive(Debug)]
pub(super) struct Terminal {
    master: OwnedFd,
}

/// What reading a terminal came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// A number of bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// No process has the other end any more, and all was read.
    Closed,
}

impl Terminal {
    /// The terminal, and the end for the builder, in raw mode.
    pub(super) fn open() -> io::Result<(Self, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        let mut settings = tcgetattr(&slave)?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        Ok((Self { master }, slave))
    }

    /// What is there to read, without waiting.
    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<Got> {
        match rustix::io::read(&self.master, into) {
            Ok(0) | Err(Errno::IO) => Ok(Got::Closed),
            Ok(count) => Ok(Got::Bytes(count)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Got::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.master
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_unchanged_and_then_it_is_closed() -> io::Result<()> {
        let (terminal, slave) = Terminal::open()?;
        let mut buffer = [0; 64];
        assert_eq!(terminal.read(&mut buffer)?, Got::Nothing);
        rustix::io::write(&slave, b"a\nb\r\t\x04")?;
        drop(slave);
        assert_eq!(terminal.read(&mut buffer)?, Got::Bytes(6));
        assert_eq!(&buffer[..6], b"a\nb\r\t\x04");
        assert_eq!(terminal.read(&mut buffer)?, Got::Closed);
        Ok(())
    }
}
