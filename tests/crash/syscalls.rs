//! The calls by which files are changed, on their way to the system.
//!
//! A function of a program takes the place of libc's of the same name for everything that is linked
//! into it: our library, the standard library, and SQLite. Each of these asks [`crate::watch`] what
//! is to become of the call, and hands it to the system by its number.

#![expect(unsafe_code, reason = "functions with the names and the forms of libc's")]

use std::ffi::CStr;
use std::ffi::OsStr;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_long;
use std::ffi::c_void;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use libc::mode_t;
use libc::off64_t;
use libc::size_t;
use libc::ssize_t;

use crate::watch;
use crate::watch::Call;

/// What the system answered: -1 with `errno` set is an error.
fn answered(result: io::Result<c_long>) -> c_long {
    result.unwrap_or_else(|error| {
        let code = error.raw_os_error().unwrap_or(libc::EIO);
        // SAFETY: the place of this thread's `errno` is always there.
        unsafe { *libc::__errno_location() = code };
        -1
    })
}

fn checked(raw: c_long) -> io::Result<c_long> {
    if raw < 0 { Err(io::Error::last_os_error()) } else { Ok(raw) }
}

/// The path that `name` is, seen from the folder `at`.
unsafe fn path_of(at: c_int, name: *const c_char) -> PathBuf {
    // SAFETY: who calls hands over a text that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) };
    let name = Path::new(OsStr::from_bytes(name.to_bytes()));
    match at {
        _ if name.is_absolute() => name.to_owned(),
        libc::AT_FDCWD => std::env::current_dir().unwrap_or_default().join(name),
        at => watch::path_of(at).unwrap_or_default().join(name),
    }
}

unsafe fn opened(name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the arguments are those of `open`.
    let open =
        || unsafe { checked(libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name, flags, mode)) };
    if !watch::is_on() || flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT) == 0 {
        return answered(open()) as c_int;
    }
    // SAFETY: as above.
    let path = unsafe { path_of(libc::AT_FDCWD, name) };
    let truncates = flags & libc::O_TRUNC != 0;
    answered(watch::pass(Call::Open { path: &path, truncates }, |_len| open())) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the arguments are handed on.
    unsafe { opened(name, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the arguments are handed on.
    unsafe { opened(name, flags, mode) }
}

/// Writes at `at`, or where the file stands.
unsafe fn written(fd: c_int, from: *const c_void, len: size_t, at: Option<off64_t>) -> ssize_t {
    let write = |len: usize| {
        // SAFETY: `from` has `len` octets, or more.
        checked(unsafe {
            match at {
                Some(at) => libc::syscall(libc::SYS_pwrite64, fd, from, len, at),
                None => libc::syscall(libc::SYS_write, fd, from, len),
            }
        })
    };
    let Some(path) = watch::watched(fd) else { return answered(write(len)) as ssize_t };
    // SAFETY: as above.
    let octets = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) };
    // SAFETY: asks where the file stands, no more.
    let at = at.unwrap_or_else(|| unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) });
    let call = Call::Write { path: &path, at: at.unsigned_abs(), octets };
    answered(watch::pass(call, write)) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, from: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the arguments are handed on.
    unsafe { written(fd, from, len, None) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, from: *const c_void, len: size_t, at: off64_t) -> ssize_t {
    // SAFETY: the arguments are handed on.
    unsafe { written(fd, from, len, Some(at)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, from: *const c_void, len: size_t, at: off64_t) -> ssize_t {
    // SAFETY: the arguments are handed on.
    unsafe { written(fd, from, len, Some(at)) }
}

fn synced(fd: c_int, number: c_long) -> c_int {
    // SAFETY: a file descriptor is all that it takes.
    let sync = || checked(unsafe { libc::syscall(number, fd) });
    let Some(path) = watch::watched(fd) else { return answered(sync()) as c_int };
    // What a power cut leaves is reckoned and not tried: no disk has to be waited for.
    answered(watch::pass(Call::Sync { path: &path }, |_len| Ok(0))) as c_int
}

#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    synced(fd, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    synced(fd, libc::SYS_fdatasync)
}

fn resized(fd: c_int, len: off64_t) -> c_int {
    // SAFETY: numbers are all that it takes.
    let resize = || checked(unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) });
    let Some(path) = watch::watched(fd) else { return answered(resize()) as c_int };
    let call = Call::Resize { path: &path, len: len.unsigned_abs() };
    answered(watch::pass(call, |_len| resize())) as c_int
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate(fd: c_int, len: off64_t) -> c_int {
    resized(fd, len)
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate64(fd: c_int, len: off64_t) -> c_int {
    resized(fd, len)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let at = libc::AT_FDCWD;
    // SAFETY: the arguments are handed on.
    let rename = || checked(unsafe { libc::syscall(libc::SYS_renameat2, at, from, at, to, 0) });
    // SAFETY: both are texts that end with a zero.
    let (from, to) = unsafe { (path_of(at, from), path_of(at, to)) };
    answered(watch::pass(Call::Rename { from: &from, to: &to }, |_len| rename())) as c_int
}

unsafe fn removed(at: c_int, name: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the arguments are handed on.
    let remove = || checked(unsafe { libc::syscall(libc::SYS_unlinkat, at, name, flags) });
    // SAFETY: it is a text that ends with a zero.
    let path = unsafe { path_of(at, name) };
    answered(watch::pass(Call::Remove { path: &path }, |_len| remove())) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(name: *const c_char) -> c_int {
    // SAFETY: the arguments are handed on.
    unsafe { removed(libc::AT_FDCWD, name, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(at: c_int, name: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the arguments are handed on.
    unsafe { removed(at, name, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(name: *const c_char) -> c_int {
    // SAFETY: the arguments are handed on.
    unsafe { removed(libc::AT_FDCWD, name, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(name: *const c_char, mode: mode_t) -> c_int {
    let at = libc::AT_FDCWD;
    // SAFETY: the arguments are handed on.
    let make = || checked(unsafe { libc::syscall(libc::SYS_mkdirat, at, name, mode) });
    // SAFETY: it is a text that ends with a zero.
    let path = unsafe { path_of(at, name) };
    answered(watch::pass(Call::MakeDir { path: &path }, |_len| make())) as c_int
}

/// Says that there is no such call, where it would pass by [`write`].
#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: size_t,
    flags: std::ffi::c_uint,
) -> ssize_t {
    if watch::watched(to).is_some() {
        return answered(Err(io::Error::from_raw_os_error(libc::ENOSYS))) as ssize_t;
    }
    let number = libc::SYS_copy_file_range;
    // SAFETY: the arguments are handed on.
    unsafe { libc::syscall(number, from, from_at, to, to_at, len, flags) as ssize_t }
}

/// The same.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    from_at: *mut off64_t,
    len: size_t,
) -> ssize_t {
    if watch::watched(to).is_some() {
        return answered(Err(io::Error::from_raw_os_error(libc::ENOSYS))) as ssize_t;
    }
    // SAFETY: the arguments are handed on.
    unsafe { libc::syscall(libc::SYS_sendfile, to, from, from_at, len) as ssize_t }
}
