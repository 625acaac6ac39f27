//! What is asked of a packet socket behind libpcap's back: to go on with an interface that was made
//! again.
//!
//! The kernel numbers interfaces, and a socket is bound to a number. When an interface is unplugged
//! and comes back, it has another one; the socket, its ring, its filter and its counters stay as
//! they were and are bound again. Neither call needs a right (packet(7): only opening the socket
//! does). Checked with libpcap 1.10.3: it reads on from the ring as before.
#![allow(unsafe_code)]

use nix::libc;
use nix::sys::socket::{LinkAddr, SockaddrLike, bind, setsockopt};
use nix::{setsockopt_impl, sockopt_impl};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

sockopt_impl!(
    /// Joins a group, or all of them (packet(7), `PACKET_ADD_MEMBERSHIP`).
    AddMembership,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_ADD_MEMBERSHIP,
    libc::packet_mreq
);

/// Binds `socket`, a packet socket, to the interface with number `index`, for packets of all
/// protocols.
///
/// # Errors
/// `ENODEV` or `ENXIO` if there is no such interface (any more); else what the system says.
pub fn bind_to(socket: BorrowedFd<'_>, index: u32) -> nix::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: family(),
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(), // 3, fits
        sll_ifindex: number(index),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t; // 20, fits
    // SAFETY: `address` is a whole sockaddr_ll that lives until the end of this function; `length`
    // is its length. nix copies it out after looking at its family.
    let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) };
    bind(socket.as_raw_fd(), &address.ok_or(nix::errno::Errno::EINVAL)?)
}

/// Asks the interface with number `index` for all frames that pass it, for as long as `socket` is
/// open.
///
/// # Errors
/// What the system says.
pub fn be_promiscuous(socket: BorrowedFd<'_>, index: u32) -> nix::Result<()> {
    let all = libc::packet_mreq {
        mr_ifindex: number(index),
        mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort, // 1, fits
        mr_alen: 0,
        mr_address: [0; 8],
    };
    setsockopt(&socket.as_fd(), AddMembership, &all)
}

fn family() -> libc::sa_family_t {
    libc::AF_PACKET as libc::sa_family_t // 17, fits
}

/// Numbers of interfaces are positive in the kernel, too.
fn number(index: u32) -> libc::c_int {
    libc::c_int::try_from(index).unwrap_or(libc::c_int::MAX)
}
