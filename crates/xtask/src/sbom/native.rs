//! Native code: what the `-sys` crates compile in, and what they take from the system. No manifest says that, so it is said here,
//! and a crate that this page does not know stops the command.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::inventory::{Inventory, Package};
use super::tree::Id;

/// What a crate that links a native library does.
enum Native {
    /// It compiles the library from sources that lie in the crate.
    CompiledIn(Source),
    /// It links the system's library, whose file name begins so. Where the system had none at build time it would compile its own:
    /// `cargo xtask dist` looks at what the binaries really link.
    System(&'static str),
}

/// Sources of a native library inside a crate.
struct Source {
    name: &'static str,
    /// The package URL without the version. Those on GitHub are the names that advisories use.
    purl: &'static str,
    /// A licence expression of SPDX.
    licence: &'static str,
    version: fn(&Package) -> anyhow::Result<String>,
    text: fn(&Package) -> anyhow::Result<String>,
}

/// A native library that is compiled into a binary.
pub(super) struct CompiledIn {
    pub(super) name: &'static str,
    pub(super) version: String,
    pub(super) purl: String,
    pub(super) licence: &'static str,
    /// The text of the licence, as it lies beside the sources.
    pub(super) text: String,
}

fn native(name: &str) -> Option<Native> {
    let native = match name {
        "curl-sys" => Native::System("libcurl.so"),
        "libz-sys" => Native::System("libz.so"),
        "openssl-sys" => Native::System("libssl.so"),
        "libmimalloc-sys" => Native::CompiledIn(Source {
            name: "mimalloc",
            purl: "pkg:github/microsoft/mimalloc@v",
            licence: "MIT",
            version: |package| {
                let header = read(&mimalloc(package), "include/mimalloc.h")?;
                let number = defined(&header, "MI_MALLOC_VERSION")?;
                let number: u32 = number.parse().context("MI_MALLOC_VERSION")?;
                let (major, minor) = (number / 10_000, number / 100 % 100);
                Ok(format!("{major}.{minor}.{}", number % 100))
            },
            text: |package| read(&mimalloc(package), "LICENSE"),
        }),
        "libsqlite3-sys" => Native::CompiledIn(Source {
            name: "sqlite",
            purl: "pkg:github/sqlite/sqlite@version-",
            licence: "blessing",
            version: |package| {
                defined(
                    &read(&package.folder, "sqlite3/sqlite3.h")?,
                    "SQLITE_VERSION",
                )
            },
            text: |package| blessing(&read(&package.folder, "sqlite3/sqlite3.h")?),
        }),
        "rdkafka-sys" => Native::CompiledIn(Source {
            name: "librdkafka",
            purl: "pkg:github/confluentinc/librdkafka@v",
            // With what it has taken in: OpenTelemetry's and nanopb's, cJSON, crc32c, LZ4, Snappy and others.
            licence: "BSD-2-Clause AND Apache-2.0 AND BSD-3-Clause AND MIT AND Zlib",
            version: |package| behind_plus(package, ""),
            text: |package| read(&package.folder, "librdkafka/LICENSES.txt"),
        }),
        "zstd-sys" => Native::CompiledIn(Source {
            name: "zstd",
            purl: "pkg:github/facebook/zstd@v",
            licence: "BSD-3-Clause",
            version: |package| behind_plus(package, "zstd."),
            text: |package| read(&package.folder, "zstd/LICENSE"),
        }),
        _ => return None,
    };
    Some(native)
}

/// The native library that is compiled in with a package, if there is one.
///
/// # Errors
///
/// The package has native code and is not known here, or is not as this page says.
pub(super) fn compiled_in(
    inventory: &Inventory,
    package: &Package,
) -> anyhow::Result<Option<CompiledIn>> {
    let id = &package.id;
    let source = match native(&id.name) {
        Some(Native::CompiledIn(source)) => source,
        Some(Native::System(_)) => return Ok(None),
        None if has_native_code(package, inventory.direct(id)) => bail!(
            "{id} compiles or links native code: say in crates/xtask/src/sbom/native.rs whether it is compiled in, or the system's"
        ),
        None => return Ok(None),
    };
    let looked_at = || format!("the {} inside {id}", source.name);
    let version = (source.version)(package).with_context(looked_at)?;
    Ok(Some(CompiledIn {
        name: source.name,
        purl: format!("{}{version}", source.purl),
        licence: source.licence,
        text: (source.text)(package).with_context(looked_at)?,
        version,
    }))
}

/// The beginnings of the file names of the system's libraries that a binary links, with the packages that say so.
pub(crate) fn linked(inventory: &Inventory, binary: &str) -> Vec<(Id, &'static str)> {
    inventory
        .inside(binary)
        .into_iter()
        .filter_map(|id| match native(&id.name)? {
            Native::System(library) => Some((id, library)),
            Native::CompiledIn(_) => None,
        })
        .collect()
}

fn has_native_code<'a>(package: &Package, mut direct: impl Iterator<Item = &'a Id>) -> bool {
    package.links.is_some() || direct.any(|id| matches!(id.name.as_str(), "cc" | "cmake"))
}

fn read(folder: &Path, file: &str) -> anyhow::Result<String> {
    let path = folder.join(file);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Two versions lie in the crate; a feature chooses the older one.
fn mimalloc(package: &Package) -> std::path::PathBuf {
    let version = match package.features.contains("v2") {
        true => "v2",
        false => "v3",
    };
    package.folder.join("c_src/mimalloc").join(version)
}

/// `2.1.0+zstd.1.5.7` is zstd 1.5.7.
fn behind_plus(package: &Package, prefix: &str) -> anyhow::Result<String> {
    let behind = package.id.version.split_once('+');
    let version = behind.and_then(|(_, version)| version.strip_prefix(prefix));
    Ok(version
        .with_context(|| format!("no version of the library in {}", package.id))?
        .to_owned())
}

/// The value of a `#define`, without quotes.
fn defined(header: &str, name: &str) -> anyhow::Result<String> {
    let value = header.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("#define") && words.next() == Some(name)).then(|| words.next())?
    });
    Ok(value
        .with_context(|| format!("no #define {name}"))?
        .trim_matches('"')
        .to_owned())
}

/// What SQLite's sources have in place of a licence: the comment at the beginning, up to its line of stars.
fn blessing(header: &str) -> anyhow::Result<String> {
    let lines: Vec<_> = header
        .lines()
        .skip_while(|line| !line.contains("disclaims copyright"))
        .take_while(|line| !line.starts_with("****"))
        .map(|line| line.trim_start_matches('*').trim())
        .collect();
    if lines.is_empty() {
        bail!("no disclaimer of copyright at its beginning");
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, links: Option<&str>) -> Package {
        Package {
            id: Id {
                name: name.to_owned(),
                version: version.to_owned(),
            },
            cargo_id: String::new(),
            description: None,
            licence: "MIT".to_owned(),
            repository: None,
            folder: "/nowhere".into(),
            links: links.map(str::to_owned),
            features: ["v2".to_owned()].into(),
            checksum: None,
        }
    }

    #[test]
    fn versions_are_found_where_each_library_has_its_own() {
        let zstd = package("zstd-sys", "2.1.2+zstd.1.5.7", None);
        assert_eq!(behind_plus(&zstd, "zstd.").expect("a version"), "1.5.7");
        assert!(behind_plus(&zstd, "other.").is_err());
        let header = "#define SQLITE_VERSION_NUMBER 1\n#define SQLITE_VERSION        \"3.51.3\"\n";
        assert_eq!(
            defined(header, "SQLITE_VERSION").expect("a version"),
            "3.51.3"
        );
        assert!(defined(header, "VERSION").is_err());
        assert!(mimalloc(&zstd).ends_with("mimalloc/v2"));
    }

    #[test]
    fn the_blessing_is_the_comment_at_the_beginning() {
        let header = "/*\n** 2001-09-15\n**\n** The author disclaims copyright to this source code.\n**\n**    May you do good.\n**\n****\n** Code.\n*/\n";
        let text = blessing(header).expect("a blessing");
        assert_eq!(
            text.trim(),
            "The author disclaims copyright to this source code.\n\nMay you do good."
        );
        assert!(blessing("int main;").is_err());
    }

    #[test]
    fn native_code_is_noticed_by_its_claim_and_by_its_compiler() {
        let claims = package("new-sys", "1.0.0", Some("new"));
        let plain = package("plain", "1.0.0", None);
        let compiler = package("cc", "1.0.0", None).id;
        assert!(has_native_code(&claims, [].into_iter()));
        assert!(has_native_code(&plain, [&compiler].into_iter()));
        assert!(!has_native_code(&plain, [&claims.id].into_iter()));
    }
}
