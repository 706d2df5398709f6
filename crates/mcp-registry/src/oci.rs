//! References of container images: `[registry/]repository[:tag][@digest]`.

/// Registries that the official registry takes; those that end like this as well.
const REGISTRIES: [&str; 6] = [
    "docker.io",
    "registry-1.docker.io",
    "index.docker.io",
    "ghcr.io",
    "quay.io",
    "mcr.microsoft.com",
];
const SUFFIXES: [&str; 2] = [".pkg.dev", ".azurecr.io"];
/// Bounds of go-containerregistry, in bytes.
const REPOSITORY_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// Whether it is a reference to an image in a registry that is taken.
pub(crate) fn check(reference: &str) -> Result<(), &'static str> {
    const INVALID: &str =
        "must be an image reference: [registry/]repository[:tag][@sha256:digest], in lower case";
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_digest = |digest: &str| {
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        digits.len() == 64 && digits.bytes().all(is_hex)
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(INVALID);
    }
    // A colon before the last slash belongs to the registry's port.
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    let is_tag_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if tag.is_some_and(|tag| !(1..=TAG_MAX).contains(&tag.len()) || !tag.bytes().all(is_tag_byte)) {
        return Err(INVALID);
    }
    let (registry, repository) = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("docker.io", path),
    };
    let is_byte = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'_' | b'-' | b'.' | b'/')
    };
    if !(2..=REPOSITORY_MAX).contains(&repository.len()) || !repository.bytes().all(is_byte) {
        return Err(INVALID);
    }
    let is_taken =
        REGISTRIES.contains(&registry) || SUFFIXES.iter().any(|suffix| registry.ends_with(suffix));
    if !is_taken {
        return Err(
            "the image must be at docker.io, ghcr.io, quay.io, mcr.microsoft.com, *.pkg.dev or *.azurecr.io",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn references_are_told_from_others() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for reference in [
            "owner/image:1.0.0",
            "docker.io/owner/image",
            "ghcr.io/owner/image:1.0",
            "europe-docker.pkg.dev/p/r/image:x",
            "name.azurecr.io/image",
            "ubuntu",
            &format!("quay.io/a/b@{digest}"),
            &format!("quay.io/a/b:1@{digest}"),
        ] {
            assert_eq!(check(reference), Ok(()), "{reference}");
        }
        for reference in [
            "",
            "Owner/Image:1",
            "ghcr.io/a/b:",
            "ghcr.io/a b",
            "ghcr.io/a/b@sha256:12",
            "ghcr.io/a/b@md5:12",
            "example.com/a/b:1",
            "localhost:5000/a/b",
            "ghcr.io:443/a/b",
            "evilpkg.dev/a/b",
            &format!("ghcr.io/a/b:{}", "x".repeat(129)),
        ] {
            assert!(check(reference).is_err(), "{reference}");
        }
    }
}
