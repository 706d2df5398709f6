//! The attributes of an element that may stay.

use resvg::usvg::roxmltree::{Attribute, Node};

use super::{Cleaner, SVG, XLINK, XML, within};
use crate::{
    SvgError,
    allow::{self, Kind},
    css,
    image::{self, Refusal},
    value,
};

/// Classes of one element.
const MOST_CLASSES: usize = 50;
/// Words for screen readers, in characters.
const LONGEST_WORDS: usize = 500;

impl Cleaner<'_> {
    /// The attributes as they are written, in their order, or nothing where the whole element has to go.
    pub(super) fn attributes(
        &mut self,
        node: Node<'_, '_>,
        element: &str,
    ) -> Result<Option<Vec<(String, String)>>, SvgError> {
        let mut out: Vec<(String, String)> = Vec::new();
        let plain_href = node
            .attributes()
            .any(|a| a.namespace().is_none() && a.name() == "href");
        for attribute in node.attributes() {
            let name = match attribute.namespace() {
                None => attribute.name(),
                Some(XLINK) if attribute.name() == "href" => "xlink:href",
                Some(XML) if attribute.name() == "space" => "xml:space",
                Some(XML) if attribute.name() == "lang" => "xml:lang",
                Some(XML) => {
                    self.account
                        .note_named("attribute", &format!("xml:{}", attribute.name()));
                    continue;
                }
                Some(XLINK) => {
                    self.account
                        .note_named("attribute", &format!("xlink:{}", attribute.name()));
                    continue;
                }
                Some(SVG) => {
                    self.account.note("attribute with a prefix");
                    continue;
                }
                Some(_) => {
                    self.account
                        .note("attribute of another vocabulary than SVG");
                    continue;
                }
            };
            match name {
                // The plain form wins where both are given; the other would be a second opinion.
                "xlink:href" if plain_href => {}
                "href" | "xlink:href" => match self.href(element, &attribute)? {
                    Some(href) => out.push((name.to_owned(), href)),
                    None if element == "image" => return Ok(None),
                    None => {}
                },
                _ => {
                    if let Some(value) = self.attribute(element, name, &attribute)? {
                        out.push((name.to_owned(), value));
                    } else if decides_whether_it_shows(element, name) {
                        return Ok(None);
                    }
                }
            }
        }
        // The root gets up to two namespaces, and has to pass here again.
        if out.len() + 2 > self.limits.attributes as usize {
            return Err(SvgError::TooMany {
                what: "attributes of one element".to_owned(),
                limit: self.limits.attributes.into(),
            });
        }
        if allow::is_animation(element) && element != "animateMotion" {
            let has = |wanted: &str| out.iter().any(|(name, _)| name == wanted);
            if !has("attributeName") {
                self.account
                    .note("animation of an attribute that must not change");
                return Ok(None);
            }
        }
        Ok(Some(out))
    }

    fn attribute(
        &mut self,
        element: &str,
        name: &str,
        attribute: &Attribute<'_, '_>,
    ) -> Result<Option<String>, SvgError> {
        let value = attribute.value();
        within(
            &format!("the attribute {name}"),
            value.len(),
            self.limits.attribute_bytes,
        )?;
        let kind = match name {
            "xml:space" => Some(Kind::Value),
            "xml:lang" => Some(Kind::Value),
            _ => allow::attribute(name),
        };
        let Some(kind) = kind else {
            self.account.note_named("attribute", name);
            return Ok(None);
        };
        let cleaned = match kind {
            Kind::Value if element == "style" && name == "type" => {
                (value.trim() == "text/css").then(|| "text/css".to_owned())
            }
            Kind::Value => value::cleaned(value),
            Kind::List => value::cleaned_list(value),
            Kind::Id => value::is_id(value).then(|| value.to_owned()),
            Kind::Classes => classes(value),
            Kind::Style => {
                let declarations = css::declarations(value, &mut self.account);
                let style = css::write_declarations(&declarations);
                // What was wrong with it is noted already.
                return Ok((!style.is_empty()).then_some(style));
            }
            Kind::Words => Some(value.chars().take(LONGEST_WORDS).collect()),
            Kind::Order => order(value),
            Kind::Animated => allow::may_be_animated(value).then(|| value.to_owned()),
            Kind::Features => allow::are_features(value).then(|| value.to_owned()),
        };
        if cleaned.is_none() {
            self.account
                .note_named("unsafe or unknown value of attribute", name);
        }
        Ok(cleaned)
    }

    /// A reference to an element of the same file, or an embedded image where one may stand.
    fn href(
        &mut self,
        element: &str,
        attribute: &Attribute<'_, '_>,
    ) -> Result<Option<String>, SvgError> {
        let value = attribute.value().trim();
        match element {
            "a" => {
                self.account.note("link");
                Ok(None)
            }
            "image" => Ok(self.image(value)),
            "use" | "textPath" | "mpath" | "linearGradient" | "radialGradient" | "pattern"
            | "filter" | "animate" | "animateMotion" | "animateTransform" | "set" => {
                let id = value.strip_prefix('#').filter(|id| value::is_id(id));
                if id.is_none() {
                    self.account
                        .note_named("reference out of the file in element", element);
                }
                Ok(id.map(|id| format!("#{id}")))
            }
            _ => {
                self.account.note_named("reference in element", element);
                Ok(None)
            }
        }
    }

    fn image(&mut self, href: &str) -> Option<String> {
        let left = u64::from(self.limits.image_pixels).saturating_sub(self.pixels);
        let refusal = match image::embedded(href, self.limits.image_bytes) {
            Ok(image) if image.pixels <= left => {
                self.pixels += image.pixels;
                return Some(image.url);
            }
            Ok(_) => "embedded image with too many pixels",
            Err(Refusal::NotEmbedded) => "image that is not an embedded PNG, JPEG, GIF or WebP",
            Err(Refusal::Mismatch) => "embedded image that is not of its type",
            Err(Refusal::TooLarge) => "embedded image with too many bytes",
        };
        self.account.note(refusal);
        None
    }
}

/// Whether an element shows, or a style sheet applies, depends on this attribute, so that without it something would show
/// that did not before.
fn decides_whether_it_shows(element: &str, attribute: &str) -> bool {
    matches!(
        attribute,
        "requiredFeatures"
            | "requiredExtensions"
            | "requiredFormats"
            | "requiredFonts"
            | "systemLanguage"
    ) || (element == "style" && matches!(attribute, "type" | "media"))
}

/// The sides of a filter's matrix. The renderer multiplies them before it looks at them.
fn order(value: &str) -> Option<String> {
    const LARGEST: u32 = 100;
    let value = value::cleaned(value)?;
    let mut sides = value.split([' ', ',']).filter(|side| !side.is_empty());
    let fits = |side: &str| side.parse::<u32>().is_ok_and(|side| side <= LARGEST);
    (sides.clone().count() <= 2 && sides.all(fits)).then_some(value)
}

/// Class names without what would need an escape in a selector.
fn classes(value: &str) -> Option<String> {
    let harmless = |name: &&str| {
        name.chars()
            .all(|c| c.is_alphanumeric() || (c.is_ascii_graphic() && !"\"'<>&\\(){}`;".contains(c)))
    };
    let names: Vec<&str> = value.split_whitespace().take(MOST_CLASSES).collect();
    names.iter().all(harmless).then(|| names.join(" "))
}
