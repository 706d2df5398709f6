//! Where the references of a schema lead: to a schema in the same document, or nowhere. Nothing is ever fetched; a URI is a name.

use std::collections::HashMap;
use std::ptr;

use serde_json::{Map, Value};
use url::Url;

use super::{DIALECT, check_dialect, check_patterns, subschemas};
use crate::issue::{Issues, Place};
use crate::server::text;

/// Longest reference and identifier, in bytes, before and after it is resolved.
const URI_MAX: usize = 2_048;
/// Most schemas with an `$id` in one document: each has a URI of its own, which may be as long.
const IDS_MAX: usize = 64;
/// What relative references are relative to in a document without `$id`.
const NO_ID: &str = "tool-schema:///";

const OUTSIDE: &str =
    "leads outside of the document, and nothing is fetched: put into $defs what it refers to";
const NOWHERE: &str =
    "leads nowhere: no schema stands there in the document (those to refer to belong into $defs)";

/// A schema with a base URI of its own: the document, and each with an `$id` (2020-12, core §8.2.1).
struct Resource<'s> {
    base: Url,
    root: &'s Value,
}

/// The schemas of a document and their names.
pub(super) struct References<'s> {
    root: &'s Value,
    /// The first is the document without its `$id`.
    resources: Vec<Resource<'s>>,
    /// Those with an `$id`, by their URI.
    ids: HashMap<String, usize>,
    /// `$anchor` and `$dynamicAnchor`, by the resource that they are in; and who has it.
    anchors: HashMap<(usize, &'s str), *const Value>,
    /// Each schema by its address, and the resource that it is in.
    schemas: HashMap<*const Value, usize>,
}

impl<'s> References<'s> {
    pub(super) fn new(root: &'s Value) -> Self {
        let base = Url::parse(NO_ID).expect("a constant URL is one");
        Self {
            root,
            resources: vec![Resource { base, root }],
            ids: HashMap::new(),
            anchors: HashMap::new(),
            schemas: HashMap::new(),
        }
    }

    /// Reads all schemas, and checks what each is in itself.
    pub(super) fn read(&mut self, place: &Place<'_>, issues: &mut Issues) {
        if let Some(root) = self.root.as_object() {
            self.read_object(self.root, root, 0, place, issues);
        }
    }

    fn read_any(
        &mut self,
        schema: &'s Value,
        resource: usize,
        place: &Place<'_>,
        issues: &mut Issues,
    ) {
        match schema {
            Value::Object(object) => {
                check_dialect(object, place, issues);
                self.read_object(schema, object, resource, place, issues);
            }
            Value::Bool(_) => {
                self.schemas.insert(ptr::from_ref(schema), resource);
            }
            // No schema; the meta-schema has an issue about it.
            _ => {}
        }
    }

    fn read_object(
        &mut self,
        schema: &'s Value,
        object: &'s Map<String, Value>,
        outer: usize,
        place: &Place<'_>,
        issues: &mut Issues,
    ) {
        let mut resource = outer;
        if let Some(id) = text(object, "$id") {
            match self.identify(schema, id, outer) {
                Ok(own) => resource = own,
                Err(why) => issues.add(&place.field("$id"), "tool-schema-id", why),
            }
        }
        self.schemas.insert(ptr::from_ref(schema), resource);
        for keyword in ["$anchor", "$dynamicAnchor"] {
            let Some(anchor) = text(object, keyword) else {
                continue;
            };
            let this = ptr::from_ref(schema);
            if *self.anchors.entry((resource, anchor)).or_insert(this) != this {
                issues.add(
                    &place.field(keyword),
                    "tool-schema-id",
                    "another schema has this anchor",
                );
            }
        }
        check_patterns(object, place, issues);
        subschemas(object, place, &mut |inner, place| {
            self.read_any(inner, resource, place, issues);
        });
    }

    /// Makes a resource of a schema with an `$id`.
    fn identify(&mut self, schema: &'s Value, id: &str, outer: usize) -> Result<usize, String> {
        if self.ids.len() == IDS_MAX {
            return Err(format!("a document has at most {IDS_MAX} of these"));
        }
        let id = id.strip_suffix('#').unwrap_or(id);
        let base = self
            .resolve(outer, id)
            .ok_or_else(|| format!("is no URI of at most {URI_MAX} bytes"))?;
        let number = self.resources.len();
        if self.ids.contains_key(base.as_str()) {
            return Err("another schema has this identifier".into());
        }
        self.ids.insert(base.as_str().to_owned(), number);
        let root = schema;
        self.resources.push(Resource { base, root });
        Ok(number)
    }

    fn resolve(&self, resource: usize, reference: &str) -> Option<Url> {
        let is_bounded = |text: &str| text.len() <= URI_MAX;
        let base = &self.resources[resource].base;
        let url = is_bounded(reference).then(|| base.join(reference).ok())??;
        is_bounded(url.as_str()).then_some(url)
    }

    /// Checks all references. The schemas must have been read.
    pub(super) fn check(&self, place: &Place<'_>, issues: &mut Issues) {
        self.check_any(self.root, place, issues);
    }

    fn check_any(&self, schema: &'s Value, place: &Place<'_>, issues: &mut Issues) {
        let (Some(object), Some(&resource)) =
            (schema.as_object(), self.schemas.get(&ptr::from_ref(schema)))
        else {
            return;
        };
        for keyword in ["$ref", "$dynamicRef"] {
            if let Some(reference) = text(object, keyword)
                && let Err(why) = self.follow(resource, reference)
            {
                issues.add(&place.field(keyword), "tool-schema-reference", why);
            }
        }
        subschemas(object, place, &mut |inner, place| {
            self.check_any(inner, place, issues);
        });
    }

    fn follow(&self, from: usize, reference: &str) -> Result<(), &'static str> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if uri.is_empty() {
            from
        } else {
            let url = self.resolve(from, uri).ok_or(OUTSIDE)?;
            match self.ids.get(url.as_str()) {
                Some(resource) => *resource,
                // Every validator has that one: it is how a tool takes a schema as an argument.
                None if url.as_str() == DIALECT && fragment.is_empty() => return Ok(()),
                None => return Err(OUTSIDE),
            }
        };
        let fragment = percent_decoded(fragment).ok_or(NOWHERE)?;
        let is_there = if fragment.is_empty() {
            true
        } else if fragment.starts_with('/') {
            let target = self.resources[resource].root.pointer(&fragment);
            // Elsewhere than where schemas stand it is not known to be one (2020-12, core §9.4.2).
            target.is_some_and(|target| self.schemas.contains_key(&ptr::from_ref(target)))
        } else {
            self.anchors.contains_key(&(resource, fragment.as_str()))
        };
        is_there.then_some(()).ok_or(NOWHERE)
    }
}

/// The fragment of a URI as text; `None` if it has a `%` without two hexadecimal digits, or is no UTF-8.
fn percent_decoded(fragment: &str) -> Option<String> {
    let mut bytes = fragment.bytes();
    let mut decoded = Vec::with_capacity(fragment.len());
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            u8::try_from(high * 16 + low).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}
