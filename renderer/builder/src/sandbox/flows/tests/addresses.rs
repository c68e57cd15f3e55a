//! How addresses are read.

use rustix::io::Errno;

use super::super::address::{Address, Encoded};

fn read(bytes: &[u8]) -> Result<Address, Errno> {
    Address::read(bytes)
}

#[test]
fn what_is_written_for_an_address_reads_as_the_address() {
    for text in [
        "192.0.2.1:443",
        "0.0.0.0:0",
        "[2001:db8::1]:443",
        "[fe80::1%7]:65535",
        "[::ffff:192.0.2.1]:1",
    ] {
        let address = text.parse().unwrap();
        let bytes = Encoded::internet(address).0;
        assert_eq!(read(&bytes), Ok(Address::Internet(address)));
        let longer = [&bytes[..], &[0xff; 128]].concat();
        assert_eq!(read(&longer[..128]), Ok(Address::Internet(address)));
    }
}

#[test]
fn addresses_that_are_too_short_are_invalid() {
    let v4 = Encoded::internet("192.0.2.1:443".parse().unwrap()).0;
    let v6 = Encoded::internet("[2001:db8::1%3]:443".parse().unwrap()).0;
    for bytes in [&[][..], &[2], &v4[..15], &v6[..23], &[1, 0], &[16, 0, 0, 0]] {
        assert_eq!(read(bytes), Err(Errno::INVAL), "{bytes:?}");
    }
    let without_scope = Address::Internet("[2001:db8::1]:443".parse().unwrap());
    assert_eq!(read(&v6[..24]), Ok(without_scope));
}

#[test]
fn other_families_are_told_apart() {
    assert_eq!(read(&[0, 0]), Ok(Address::Unspecified));
    assert_eq!(
        read(b"\x01\0/run/x\0rest"),
        Ok(Address::Path(b"/run/x".to_vec()))
    );
    assert_eq!(read(b"\x01\0run"), Ok(Address::Path(b"run".to_vec())));
    assert_eq!(read(b"\x01\0\0name"), Ok(Address::Abstract));
    assert_eq!(read(&Encoded::kernel().0), Ok(Address::Kernel));
    let mut process = Encoded::kernel().0;
    process[4] = 7;
    assert_eq!(read(&process), Ok(Address::Process));
    assert_eq!(read(&[40, 0, 0, 0]), Err(Errno::AFNOSUPPORT));
}
