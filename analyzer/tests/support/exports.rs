//! Messages of exporters, made by hand: NetFlow v5 and v9, IPFIX.

/// When the first message is sent, in seconds of Unix time.
pub const T: u32 = 1_793_491_200;

/// How long the exporter has been up at [`T`], in milliseconds: a flow before it wraps round.
const UP_MS: u32 = 60_000;

pub type Address = ([u8; 4], u16);

/// One direction of a TCP flow, as a record reports it. Times are milliseconds from [`T`].
#[derive(Debug, Clone, Copy)]
pub struct Reported {
    pub from: Address,
    pub to: Address,
    pub bytes: u32,
    pub packets: u32,
    pub start_ms: i32,
    pub end_ms: i32,
    /// Where the destination really is, behind translation.
    pub behind: [u8; 4],
    /// It was seen where packets leave.
    pub egress: bool,
}

impl Reported {
    pub fn new(from: Address, to: Address, bytes: u32, (start_ms, end_ms): (i32, i32)) -> Self {
        Self { from, to, bytes, packets: bytes.div_ceil(1_000), start_ms, end_ms, behind: to.0, egress: false }
    }
}

fn up(ms: i32) -> u32 {
    UP_MS.wrapping_add_signed(ms)
}

/// A datagram of v5, sent so many seconds after [`T`].
pub fn v5(after_s: u32, sequence: u32, rate: u16, records: &[Reported]) -> Vec<u8> {
    let mut out = [5u16, records.len() as u16].map(u16::to_be_bytes).concat();
    for value in [up(after_s as i32 * 1_000), T + after_s, 0, sequence] {
        out.extend(value.to_be_bytes());
    }
    out.extend([0, 0]);
    out.extend((if rate > 1 { 0x4000 | rate } else { 0 }).to_be_bytes());
    for r in records {
        out.extend([r.from.0, r.to.0, [0; 4]].concat());
        out.extend([0, 1, 0, 2]);
        for value in [r.packets, r.bytes, up(r.start_ms), up(r.end_ms)] {
            out.extend(value.to_be_bytes());
        }
        out.extend([r.from.1, r.to.1].map(u16::to_be_bytes).concat());
        out.extend([0, 0x1b, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    out
}

/// A set: number, length, content, padded to four bytes.
pub fn set(id: u16, content: &[u8]) -> Vec<u8> {
    let padding = content.len().next_multiple_of(4) - content.len();
    let len = 4 + content.len() + padding;
    [&id.to_be_bytes()[..], &(len as u16).to_be_bytes(), content, &vec![0; padding]].concat()
}

/// A datagram of v9.
pub fn v9(after_s: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = [9u16, sets.len() as u16].map(u16::to_be_bytes).concat();
    for value in [up(after_s as i32 * 1_000), T + after_s, sequence, 7] {
        out.extend(value.to_be_bytes());
    }
    out.extend(sets.concat());
    out
}

/// A message of IPFIX.
pub fn ipfix(after_s: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let mut out = [10u16, 16 + sets.len() as u16].map(u16::to_be_bytes).concat();
    for value in [T + after_s, sequence, 7] {
        out.extend(value.to_be_bytes());
    }
    out.extend(sets);
    out
}

/// Fields with times as uptimes (v9), or in milliseconds of Unix time (IPFIX).
fn template_fields(is_ipfix: bool) -> Vec<(u16, u16)> {
    let times = if is_ipfix { [(152, 8), (153, 8)] } else { [(22, 4), (21, 4)] };
    let rest = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (61, 1), (6, 1), (226, 4), (1, 4), (2, 4)];
    [&rest[..], &times].concat()
}

/// The set of the template that [`data`] has.
pub fn template(is_ipfix: bool) -> Vec<u8> {
    let fields = template_fields(is_ipfix);
    let mut content = [260, fields.len() as u16].map(u16::to_be_bytes).concat();
    for (number, len) in fields {
        content.extend([number, len].map(u16::to_be_bytes).concat());
    }
    set(if is_ipfix { 2 } else { 0 }, &content)
}

/// A set of records of that template.
pub fn data(is_ipfix: bool, records: &[Reported]) -> Vec<u8> {
    let mut content = Vec::new();
    for r in records {
        content.extend([r.from.0, r.to.0].concat());
        content.extend([r.from.1, r.to.1].map(u16::to_be_bytes).concat());
        content.extend([6, u8::from(r.egress), 0x1b]);
        content.extend(r.behind);
        content.extend([r.bytes, r.packets].map(u32::to_be_bytes).concat());
        for ms in [r.start_ms, r.end_ms] {
            if is_ipfix {
                content.extend((u64::from(T) * 1_000).wrapping_add_signed(ms.into()).to_be_bytes());
            } else {
                content.extend(up(ms).to_be_bytes());
            }
        }
    }
    set(260, &content)
}

/// Options that tell one rate of sampling for all of an exporter: template and data.
pub fn sampling(is_ipfix: bool, rate: u32) -> [Vec<u8>; 2] {
    let template = match is_ipfix {
        // One scope field: observationDomainId; samplingInterval.
        true => set(3, &[261u16, 2, 1, 149, 4, 34, 4].map(u16::to_be_bytes).concat()),
        // Scope "system" of 4 bytes; SAMPLING_INTERVAL.
        false => set(1, &[261u16, 4, 4, 1, 4, 34, 4].map(u16::to_be_bytes).concat()),
    };
    [template, set(261, &[7, rate].map(u32::to_be_bytes).concat())]
}

/// Options of IPFIX that tell the rate of one sampler: template and data. Scope: selectorId.
pub fn sampler(rate: u32) -> [Vec<u8>; 2] {
    let template = set(3, &[261u16, 2, 1, 302, 8, 34, 4].map(u16::to_be_bytes).concat());
    [template, set(261, &[0, 9, rate].map(u32::to_be_bytes).concat())]
}
