//! What a host name says about its use, before anything was learned.

/// First labels under which people visit sites. Site operators choose them freely: what is learned
/// outweighs this.
const VISITED: [&str; 6] = ["www", "m", "mobile", "web", "en", "de"];

/// First labels (digits at the end left out) of hosts that documents pull in.
const PULLED: [&str; 46] = [
    "ad",
    "ads",
    "adserver",
    "analytics",
    "api",
    "assets",
    "asset",
    "beacon",
    "c",
    "cache",
    "cdn",
    "cdnjs",
    "code",
    "collect",
    "content",
    "css",
    "data",
    "edge",
    "embed",
    "events",
    "files",
    "font",
    "fonts",
    "images",
    "image",
    "img",
    "js",
    "lib",
    "log",
    "logs",
    "media",
    "metrics",
    "pix",
    "pixel",
    "player",
    "s",
    "scripts",
    "static",
    "stats",
    "stream",
    "sync",
    "tag",
    "tags",
    "track",
    "tracker",
    "widgets",
];

/// How much the name of a host speaks for a document (above 0) or against it. `site`: its
/// registrable domain.
pub fn shape(host: &str, site: &str) -> f64 {
    if host == site {
        return 1.0;
    }
    let first = host.split('.').next().unwrap_or_default();
    let stem = first.trim_end_matches(|c: char| c.is_ascii_digit());
    let word = stem.split('-').next().unwrap_or_default();
    // One of many machines: `c1`, `r3---sn-abc`.
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let first_word = first.split('-').next().unwrap_or_default();
    let is_numbered = letters < first_word.len() && letters <= 2;
    if VISITED.contains(&first) {
        1.0
    } else if PULLED.contains(&word) || PULLED.contains(&stem) || is_numbered {
        -2.0
    } else {
        -0.6
    }
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn names_of_documents_and_of_what_they_pull_in() {
        for (host, site) in [("www.example.org", "example.org"), ("example.org", "example.org")] {
            assert!(shape(host, site) > 0.0, "{host}");
        }
        for host in [
            "cdn.example.org",
            "img7.example.org",
            "static-eu.example.org",
            "c1.example.org",
            "r3---sn-nl1.example.org",
        ] {
            assert!(shape(host, "example.org") < -1.0, "{host}");
        }
        assert!(shape("docs.example.org", "example.org").abs() < 1.0);
    }
}
