//! Link headers.
use super::{Frame, NotIp};
use crate::packet::CapturedPacket;

pub(super) fn decode<'a>(packet: &CapturedPacket<'a>) -> Frame<'a> {
    Frame::NotIp(NotIp::LinkType(packet.link_type.0))
}
