//! How each version of QUIC protects its Initials: salts and labels.

/// How a version protects Initials.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) salt: [u8; 20],
    /// `quic` or `quicv2`: the labels' first word.
    pub(super) label: &'static str,
    /// The long header type that stands for Initial.
    pub(super) initial_type: u8,
    /// Frames are those of gQUIC, in which CRYPTO has another number.
    pub(super) google_frames: bool,
}

impl Suite {
    const fn ietf(salt: [u8; 20]) -> Self {
        Self { salt, label: "quic", initial_type: 0, google_frames: false }
    }

    const fn google(salt: [u8; 20]) -> Self {
        Self { google_frames: true, ..Self::ietf(salt) }
    }

    const fn v2(salt: [u8; 20]) -> Self {
        Self { label: "quicv2", initial_type: 1, ..Self::ietf(salt) }
    }
}

/// 20 bytes written as a number, so that each salt is one line as in its document.
const fn salt(high: u32, low: u128) -> [u8; 20] {
    let (h, l) = (high.to_be_bytes(), low.to_be_bytes());
    let mut all = [0; 20];
    let mut i = 0;
    #[allow(clippy::indexing_slicing)] // in a constant, an index out of range does not compile
    while i < 20 {
        all[i] = if i < 4 { h[i] } else { l[i - 4] };
        i += 1;
    }
    all
}

/// RFC 9001 section 5.2; drafts 33 and 34.
pub(super) const V1: Suite = Suite::ietf(salt(0x3876_2cf7, 0xf559_34b3_4d17_9ae6_a4c8_0cad_ccbb_7f0a));
/// RFC 9369 section 3.3.1.
pub(super) const V2: Suite = Suite::v2(salt(0x0ded_e3de, 0xf700_a6db_8193_81be_6e26_9dcb_f9bd_2ed9));
/// draft-ietf-quic-v2-01 to -04, version 0x709a50c4.
pub(super) const V2_DRAFT: Suite = Suite::v2(salt(0xa707_c203, 0xa59b_4718_4a1d_62ca_5704_06ea_7ae3_e5d3));
/// draft-ietf-quic-tls-29 to -32.
pub(super) const DRAFT_29: Suite = Suite::ietf(salt(0xafbf_ec28, 0x9993_d24c_9e97_86f1_9c61_11e0_4390_a899));
/// draft-ietf-quic-tls-23 to -28, and mvfst.
pub(super) const DRAFT_23: Suite = Suite::ietf(salt(0xc3ee_f712, 0xc72e_bb5a_11a7_d243_2bb4_6365_bef9_f502));
/// draft-ietf-quic-tls-21 and -22.
pub(super) const DRAFT_22: Suite = Suite::ietf(salt(0x7fbc_db0e, 0x7c66_bbe9_193a_96cd_2151_9ebd_7a02_644a));
/// Chromium's Q050, T050 and T051 (crypto_utils.cc).
pub(super) const Q050: Suite = Suite::google(salt(0x5045_74ef, 0xd066_fe2f_9d94_5cfc_dbd3_a7f0_d3b5_6b45));
pub(super) const T050: Suite = Suite::google(salt(0x7ff5_79e5, 0xacd0_7291_5580_304c_43a2_367c_6048_8310));
pub(super) const T051: Suite = Suite::google(salt(0x7a4e_def4, 0xe7cc_ee5f_a450_6c19_124f_c8cc_da6e_033d));

/// What may protect the Initials of a version, the likeliest first. For a version that is not known
/// (reserved ones that force negotiation, private ones) the public ones are tried: whether one fits
/// is told by the packet's tag.
pub(super) fn suites(version: u32) -> &'static [&'static Suite] {
    match version {
        1 | 0xff00_0021..=0xff00_0022 => &[&V1],
        0x6b33_43cf => &[&V2],
        0x709a_50c4 => &[&V2_DRAFT],
        0xff00_001d..=0xff00_0020 => &[&DRAFT_29],
        0xff00_0017..=0xff00_001c => &[&DRAFT_23],
        0xff00_0015..=0xff00_0016 | 0xface_b001 => &[&DRAFT_22],
        0xface_b000..=0xface_bfff => &[&DRAFT_23, &V1, &DRAFT_29],
        0x5130_3530 => &[&Q050],
        0x5430_3530 => &[&T050],
        0x5430_3531 => &[&T051],
        _ => &[&V1, &DRAFT_29, &DRAFT_23],
    }
}

/// Whether this is one of the versions that [`suites`] knows.
pub(super) fn is_known(version: u32) -> bool {
    let private = matches!(version, 0xface_b000..=0xface_bfff);
    private || suites(version).len() == 1
}
