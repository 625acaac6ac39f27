//! Names of a dataset that is shared: each becomes a pseudonym, by a key that stays outside. The
//! same name has the same pseudonym in every export with the key, and without it nobody can try
//! names out.
//!
//! Pseudonyms keep their form, so that whatever reads a dataset reads a masked one as well: an
//! address is an address (of `fd00::/8`), and the site of a host's pseudonym is that of its site.

use super::read::{Broken, dictionary, value};
use super::schema::{Part, schema};
use super::{ArchiveError, text};
use crate::books::{Host, Service};
use crate::files;
use crate::question::{mac_text, parse_mac};
use crate::report::Mask;
use crate::site::Sites;
use crate::table::units::{from_hex, hex, uuid};
use arrow_array::builder::{ListBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{Array as _, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use hmac::{Hmac, KeyInit as _, Mac as _};
use imon_common::wire::Mac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

/// Bytes of a key: as many as the hash has.
const KEY_BYTES: usize = 32;

/// Longest file of a key that is read: 64 digits and the end of a line.
const MAX_KEY_FILE: u64 = 128;

/// Digits of a pseudonym: of a million names two agree with a probability of 2 in a billion.
const DIGITS: usize = 16;

/// How a manifest names a mask: which names, and which key, by a hash of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskOf {
    /// `devices`, `hosts` or `all`.
    pub what: String,
    /// First digits of a hash of the key: it tells keys apart, and nothing of them.
    pub key: String,
}

impl MaskOf {
    /// In words; `None`: no mask.
    pub fn word(of: Option<&Self>) -> String {
        of.map_or_else(|| "no mask".to_owned(), |mask| format!("--mask {} with the key {}", mask.what, mask.key))
    }
}

/// A key of pseudonyms.
#[derive(Clone)]
pub struct Key([u8; KEY_BYTES]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The key in a file, which is made if it is not there.
    ///
    /// # Errors
    /// Others can read or write it, it holds no key, or it cannot be made.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let refused = |kind, text: String| Err(io::Error::new(kind, text));
        let about = match std::fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => match path.symlink_metadata() {
                // On a disk that is not there, perhaps: another key would make other pseudonyms.
                Ok(_) => return refused(e.kind(), "it is a link that leads to nothing".to_owned()),
                Err(_) => return Self::make(path),
            },
            about => about?,
        };
        if about.is_file() && about.mode() & 0o077 != 0 {
            let what = format!("others can use it (its mode is {:o}): chmod 600 makes it yours", about.mode() & 0o777);
            return refused(io::ErrorKind::PermissionDenied, what);
        }
        let text = files::read_list(path, MAX_KEY_FILE)?;
        match from_hex(text.trim()).and_then(|bytes| bytes.try_into().ok()) {
            Some(key) => Ok(Self(key)),
            None => refused(io::ErrorKind::InvalidData, "it holds no key: 64 hexadecimal digits".to_owned()),
        }
    }

    /// Makes a key of the system's random bytes. It gets its name when it is whole.
    fn make(path: &Path) -> io::Result<Self> {
        let mut key = [0; KEY_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = Path::new(&beside);
        // A part of a key is of an export that was cut short. Anything else is somebody's.
        let is_of_key = |b: u8| b.is_ascii_hexdigit() || b.is_ascii_whitespace() || b == 0;
        match files::read_list(beside, MAX_KEY_FILE) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Ok(text) if text.bytes().all(is_of_key) => std::fs::remove_file(beside)?,
            _ => {
                let what = "a file of that name with `.new` behind it is in the way, and is not ours";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
        }
        let mut file = files::create_new(beside)?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        writeln!(file, "{}", hex(&key))?;
        file.sync_all()?;
        std::fs::rename(beside, path)?;
        // Without it nobody can make the same pseudonyms again.
        files::sync_folder(files::folder_of(path))?;
        Ok(Self(key))
    }
}

/// Pseudonyms by a key.
pub struct Pseudonyms {
    key: Hmac<Sha256>,
    what: Mask,
    /// Addresses of devices: where one stands as a host, it is one of ours.
    own: HashSet<IpAddr>,
    sites: Sites,
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pseudonyms").field("what", &self.what).finish_non_exhaustive()
    }
}

impl Pseudonyms {
    /// Pseudonyms for these names; `own` are addresses of devices.
    ///
    /// # Errors
    /// None that a key of this length has.
    pub fn new(key: &Key, what: Mask, own: impl IntoIterator<Item = IpAddr>) -> io::Result<Self> {
        let key = Hmac::new_from_slice(&key.0).map_err(io::Error::other)?;
        Ok(Self { key, what, own: own.into_iter().collect(), sites: Sites::new() })
    }

    /// How a manifest names it.
    pub fn of(&self) -> MaskOf {
        let what = match self.what {
            Mask::Devices => "devices",
            Mask::Hosts => "hosts",
            Mask::All => "all",
        };
        MaskOf { what: what.to_owned(), key: self.digits("key", "") }
    }

    fn hides_ours(&self) -> bool {
        matches!(self.what, Mask::Devices | Mask::All)
    }

    fn hides_theirs(&self) -> bool {
        matches!(self.what, Mask::Hosts | Mask::All)
    }

    fn tag(&self, kind: &str, text: &[u8]) -> [u8; 32] {
        let mut mac = self.key.clone();
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(text);
        mac.finalize().into_bytes().into()
    }

    fn digits(&self, kind: &str, text: &str) -> String {
        hex(&self.tag(kind, text.as_bytes())).chars().take(DIGITS).collect()
    }

    /// `kind-0123456789abcdef`; an empty text stays empty.
    fn word(&self, kind: &str, text: &str) -> String {
        if text.is_empty() { String::new() } else { format!("{kind}-{}", self.digits(kind, text)) }
    }

    fn address(&self, address: IpAddr) -> IpAddr {
        let tag = self.tag("address", address.to_string().as_bytes());
        let mut bytes = [0xfd; 16];
        bytes.iter_mut().skip(1).zip(tag).for_each(|(byte, of)| *byte = of);
        IpAddr::from(bytes)
    }

    fn mac(&self, mac: Mac) -> Mac {
        let tag = self.tag("mac", &mac.0);
        let mut bytes = [2; 6];
        bytes.iter_mut().skip(1).zip(tag).for_each(|(byte, of)| *byte = of);
        Mac(bytes)
    }

    /// What stands for a recorder, or for the database where captures are meant.
    pub fn recorder(&self, recorder: [u8; 16]) -> [u8; 16] {
        if !self.hides_ours() {
            return recorder;
        }
        let mut id = [0; 16];
        id.iter_mut().zip(self.tag("recorder", &recorder)).for_each(|(byte, of)| *byte = of);
        id
    }

    /// Of the identity of a source, as digits.
    fn source(&self, digits: &str) -> String {
        let Some(bytes) = from_hex(digits).filter(|bytes| !bytes.is_empty()) else { return String::new() };
        let tag = hex(&self.tag("source", &bytes));
        tag.chars().take(bytes.len() * 2).collect()
    }

    /// Of an address or hardware address as text, or of what a device calls itself.
    fn device(&self, text: &str) -> String {
        match (text.parse::<IpAddr>(), parse_mac(text)) {
            (Ok(address), _) => self.address(address).to_string(),
            (_, Some(mac)) => mac_text(self.mac(mac)),
            _ => self.word("device", text),
        }
    }

    /// Of a site as text: its own, or the address that stands for it.
    fn site(&self, text: &str) -> String {
        match text.parse::<IpAddr>() {
            Ok(address) => self.address(address).to_string(),
            // What was folded, and what is no site, names nobody.
            _ if text.starts_with('(') => text.to_owned(),
            _ => format!("s{}.invalid", self.digits("site", text)),
        }
    }

    /// Of a host as text. `served`: it is a service of our own.
    fn host(&self, text: &str, named: bool, served: bool) -> String {
        let hidden = |is_own: bool| self.hides_theirs() || (self.hides_ours() && is_own);
        match text::to_host(text, named) {
            Some(Host::Address(address)) if hidden(served || self.own.contains(&address)) => {
                self.address(address).to_string()
            }
            Some(Host::Service(service)) if hidden(true) => {
                let address = self.address(service.address);
                text::of_host(&Host::Service(Service { address, ..service }))
            }
            Some(Host::Name(name)) if hidden(served) && !text.starts_with('(') => {
                let site = self.site(self.sites.of(name.as_str()).name);
                format!("h{}.{site}", self.digits("host", text))
            }
            _ => text.to_owned(),
        }
    }

    /// A batch of a table with pseudonyms.
    pub(super) fn batch(&self, part: Part, batch: &RecordBatch) -> Result<RecordBatch, Broken> {
        let mut columns = batch.columns().to_vec();
        let schema = schema(part);
        let mut put = |name: &str, column: ArrayRef| {
            if let Some(place) = schema.index_of(name).ok().and_then(|i| columns.get_mut(i)) {
                *place = column;
            }
        };
        if self.hides_ours() {
            put("recorder", each(dictionary(batch, "recorder")?, |text| self.recorder_text(text))?);
            put("source", each(dictionary(batch, "source")?, |text| self.source(text))?);
        }
        match part {
            Part::Ledger => put("about", self.abouts(batch)?),
            Part::Rows | Part::Pages => {
                if self.hides_ours() {
                    put("interface", each(dictionary(batch, "interface")?, |text| self.word("interface", text))?);
                    for name in ["device_address", "device_mac", "device", "device_name"] {
                        put(name, each(dictionary(batch, name)?, |text| self.device(text))?);
                    }
                }
                for (name, column) in self.hosts(part, batch)? {
                    put(name, column);
                }
            }
        }
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    fn recorder_text(&self, text: &str) -> String {
        text::to_uuid(text).map(|id| uuid(self.recorder(id))).unwrap_or_default()
    }

    /// Columns of hosts and what follows from them: whether a host is hidden may depend on its row.
    fn hosts(&self, part: Part, batch: &RecordBatch) -> Result<Vec<(&'static str, ArrayRef)>, Broken> {
        let named = super::read::column(batch, "named")?.as_boolean_opt().ok_or_else(|| odd("named"))?;
        let scope = dictionary(batch, "scope")?;
        let (sites, families, hosts) =
            (dictionary(batch, "site")?, dictionary(batch, "family")?, dictionary(batch, "host")?);
        let rows = batch.num_rows();
        let is_served = |i: usize| -> Result<bool, Broken> { Ok(value(scope, i)? == "served") };
        let mut columns = vec![
            (
                "host",
                by_row(hosts, rows, &|i| Ok((named.value(i), is_served(i)?)), &|text, named, served| {
                    self.host(text, named, served)
                })?,
            ),
            (
                "site",
                by_row(sites, rows, &|i| Ok((named.value(i), is_served(i)?)), &|text, named, served| {
                    self.place(text, named, served)
                })?,
            ),
        ];
        if self.hides_theirs() {
            let family = |i: usize| Ok((named.value(i), value(families, i)? == value(sites, i)?));
            columns.push((
                "family",
                by_row(families, rows, &family, &|text, named, is_site| {
                    if is_site || text.starts_with('(') {
                        self.place(text, named, false)
                    } else {
                        self.word("family", text)
                    }
                })?,
            ));
            let candidates = super::read::column(batch, "candidates")?;
            columns.push(("candidates", self.candidates(candidates)?));
            if part == Part::Pages {
                for name in ["page", "rival"] {
                    let mask = |text: &str| if text.is_empty() { String::new() } else { self.host(text, true, false) };
                    columns.push((name, each(dictionary(batch, name)?, mask)?));
                }
            }
        } else {
            let both = |i: usize| Ok((named.value(i), is_served(i)?));
            columns.push((
                "family",
                by_row(families, rows, &both, &|text, named, served| self.place(text, named, served))?,
            ));
        }
        Ok(columns)
    }

    /// Of a site or family as it stands beside a host.
    fn place(&self, text: &str, named: bool, served: bool) -> String {
        match named {
            true if self.hides_theirs() || (served && self.hides_ours()) => self.site(text),
            true => text.to_owned(),
            false => self.host(text, false, served),
        }
    }

    fn candidates(&self, column: &ArrayRef) -> Result<ArrayRef, Broken> {
        let lists = column.as_list_opt::<i32>().ok_or_else(|| odd("candidates"))?;
        let names = lists.values().as_dictionary_opt::<Int32Type>().ok_or_else(|| odd("candidates"))?;
        let arrow_schema::DataType::List(field) = lists.data_type() else { return Err(odd("candidates")) };
        let mut masked = ListBuilder::new(StringDictionaryBuilder::<Int32Type>::new()).with_field(Arc::clone(field));
        for pair in lists.value_offsets().windows(2) {
            let &[from, to] = pair else { continue };
            let mut set = Vec::new();
            for i in from..to {
                let i = usize::try_from(i).map_err(|_| odd("candidates"))?;
                set.push(self.host(value(names, i)?, true, false));
            }
            set.sort_unstable();
            for name in set {
                masked.values().append(name)?;
            }
            masked.append(true);
        }
        Ok(Arc::new(masked.finish()))
    }

    /// What a ledger knows of sources and clients.
    fn abouts(&self, batch: &RecordBatch) -> Result<ArrayRef, Broken> {
        let (kinds, abouts) = (dictionary(batch, "kind")?, dictionary(batch, "about")?);
        let mut column = StringDictionaryBuilder::<Int32Type>::new();
        for i in 0..batch.num_rows() {
            let (kind, about) = (value(kinds, i)?, value(abouts, i)?);
            column.append(match kind {
                "count" => String::new(),
                // A host that carries a tunnel: a name, or an address.
                "sum" if about.is_empty() => String::new(),
                "sum" => {
                    let is_address = text::to_host(about, false).is_some();
                    self.host(about, !is_address, false)
                }
                _ if self.hides_ours() => self.fact(about)?,
                _ => about.to_owned(),
            })?;
        }
        Ok(Arc::new(column.finish()))
    }

    fn fact(&self, about: &str) -> Result<String, Broken> {
        let mut fact: Value = serde_json::from_str(about).map_err(|_| odd("about"))?;
        if let Value::Object(fields) = &mut fact {
            for (name, field) in fields.iter_mut() {
                let masked = match field {
                    Value::String(text) => self.field(name, text),
                    Value::Object(bytes) => bytes.get("x").and_then(Value::as_str).map(|x| self.bytes(name, x)),
                    _ => None,
                };
                if let Some(masked) = masked {
                    *field = masked;
                }
            }
        }
        Ok(fact.to_string())
    }

    /// A text of a fact; `None`: it stays.
    fn field(&self, name: &str, text: &str) -> Option<Value> {
        Some(Value::String(match name {
            "kind" | "ended" | "reason" => return None,
            "address" | "mac" => self.device(text),
            "interface" => self.word("interface", text),
            "name" if parse_mac(text).is_none() => self.word("device", text),
            _ => self.word("source", text),
        }))
    }

    /// Bytes of a fact.
    fn bytes(&self, name: &str, digits: &str) -> Value {
        let bytes = from_hex(digits).unwrap_or_default();
        let masked = match (name, bytes.len()) {
            (_, 0) => String::new(),
            ("address", 4) => {
                <[u8; 4]>::try_from(bytes).map_or_else(|_| String::new(), |four| self.octets(four.into()))
            }
            ("address", _) => {
                <[u8; 16]>::try_from(bytes).map_or_else(|_| String::new(), |sixteen| self.octets(sixteen.into()))
            }
            ("mac", _) => <[u8; 6]>::try_from(bytes).map_or_else(|_| String::new(), |six| hex(&self.mac(Mac(six)).0)),
            ("recorder", _) => <[u8; 16]>::try_from(bytes).map_or_else(|_| String::new(), |id| hex(&self.recorder(id))),
            _ => self.source(&hex(&bytes)),
        };
        json!({ "x": masked })
    }

    fn octets(&self, address: IpAddr) -> String {
        match self.address(address) {
            IpAddr::V4(four) => hex(&four.octets()),
            IpAddr::V6(six) => hex(&six.octets()),
        }
    }
}

/// A mask that a dataset does not have.
pub(super) fn check(path: &Path, found: Option<&MaskOf>, wanted: Option<&MaskOf>) -> Result<(), ArchiveError> {
    if found == wanted {
        return Ok(());
    }
    Err(ArchiveError::OtherMask { path: path.to_owned(), found: MaskOf::word(found), wanted: MaskOf::word(wanted) })
}

fn odd(column: &str) -> Broken {
    Broken::Form(format!("a value of the column `{column}` that imon does not write"))
}

/// A column whose texts are changed one by one.
fn each(column: &DictionaryArray<Int32Type>, change: impl Fn(&str) -> String) -> Result<ArrayRef, Broken> {
    let values: &StringArray = column.values().as_string_opt().ok_or_else(|| odd("dictionary"))?;
    let changed = StringArray::from_iter_values(values.iter().map(|text| change(text.unwrap_or_default())));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(column.keys().clone(), Arc::new(changed))?))
}

/// What a text depends on beside itself.
type Beside<'a> = &'a dyn Fn(usize) -> Result<(bool, bool), Broken>;

/// A column whose texts depend on two facts of their rows.
fn by_row(
    column: &DictionaryArray<Int32Type>,
    rows: usize,
    beside: Beside<'_>,
    change: &dyn Fn(&str, bool, bool) -> String,
) -> Result<ArrayRef, Broken> {
    let mut places: HashMap<(i32, bool, bool), i32> = HashMap::new();
    let (mut keys, mut values) = (Vec::with_capacity(rows), Vec::new());
    for (i, key) in column.keys().values().iter().enumerate() {
        let (one, other) = beside(i)?;
        let place = match places.get(&(*key, one, other)) {
            Some(place) => *place,
            None => {
                let place = i32::try_from(values.len()).map_err(|_| odd("dictionary"))?;
                values.push(change(value(column, i)?, one, other));
                places.insert((*key, one, other), place);
                place
            }
        };
        keys.push(place);
    }
    let values = Arc::new(StringArray::from_iter_values(values));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), values)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms(what: Mask, key: u8) -> Pseudonyms {
        Pseudonyms::new(&Key([key; 32]), what, ["192.168.1.7".parse().unwrap()]).unwrap()
    }

    #[test]
    fn a_name_has_one_pseudonym_by_key_and_its_site_is_that_of_its_site() {
        let all = pseudonyms(Mask::All, 1);
        let host = all.host("www.youtube.com", true, false);
        assert_eq!(host, pseudonyms(Mask::All, 1).host("www.youtube.com", true, false));
        assert_ne!(host, pseudonyms(Mask::All, 2).host("www.youtube.com", true, false));
        assert_ne!(all.of(), pseudonyms(Mask::All, 2).of());
        assert_eq!(Sites::new().of(&host).name, all.site("youtube.com"));
        assert!(!host.contains("youtube"));
        let address = all.host("203.0.113.9", false, false);
        assert!(address.parse::<IpAddr>().is_ok() && address.starts_with("fd"), "{address}");
        assert!(parse_mac(&all.device("00:11:22:33:44:55")).is_some());
        assert!(all.host("192.0.2.1:443/tcp", false, true).ends_with("]:443/tcp"));
        assert_eq!(all.host("(other-names)", true, false), "(other-names)");
    }

    #[test]
    fn each_side_is_hidden_alone() {
        let devices = pseudonyms(Mask::Devices, 1);
        assert_eq!(devices.host("www.youtube.com", true, false), "www.youtube.com");
        assert_eq!(devices.host("203.0.113.9", false, false), "203.0.113.9");
        assert_ne!(devices.host("192.168.1.7", false, false), "192.168.1.7", "an address of ours");
        assert_ne!(devices.host("nas.example.org", true, true), "nas.example.org", "a service of ours");
        let hosts = pseudonyms(Mask::Hosts, 1);
        assert_ne!(hosts.host("www.youtube.com", true, false), "www.youtube.com");
        assert_eq!(hosts.recorder([7; 16]), [7; 16]);
        assert_ne!(devices.recorder([7; 16]), [7; 16]);
    }

    #[test]
    fn a_key_is_made_once_and_refused_where_others_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mask.key");
        let key = Key::of_file(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Key::of_file(&path).unwrap().0, key.0);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Key::of_file(&path).unwrap_err().to_string().contains("640"));
        for text in ["", "0011", "zz", &"a".repeat(200)] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(Key::of_file(&path).is_err(), "{text}");
        }
    }
}
