//! The allowlist: which elements and attributes of SVG may stay. What is not named here goes.

/// What may be inside an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Other elements; text between them is white space.
    Elements,
    /// Text and elements, as in `text`.
    Mixed,
    /// Text alone, as in `title`.
    Text,
    /// A style sheet.
    Style,
}

/// What the element may hold, or nothing where it may not stay.
///
/// Left out on purpose: `script`, `handler`, `listener`; `foreignObject`, `iframe`, `audio`, `video`, `canvas`; `feImage`,
/// which loads; `tref` and `altGlyph`, which no browser has any more; fonts, cursors, colour profiles; `metadata`.
pub(crate) fn element(name: &str) -> Option<Content> {
    let content = match name {
        "svg" | "g" | "defs" | "symbol" | "use" | "switch" | "a" => Content::Elements,
        "path" | "rect" | "circle" | "ellipse" | "line" | "polyline" | "polygon" | "image" => {
            Content::Elements
        }
        "marker" | "pattern" | "clipPath" | "mask" | "linearGradient" | "radialGradient"
        | "stop" | "filter" | "view" => Content::Elements,
        "feBlend"
        | "feColorMatrix"
        | "feComponentTransfer"
        | "feComposite"
        | "feConvolveMatrix"
        | "feDiffuseLighting"
        | "feDisplacementMap"
        | "feDistantLight"
        | "feDropShadow"
        | "feFlood"
        | "feFuncA"
        | "feFuncB"
        | "feFuncG"
        | "feFuncR"
        | "feGaussianBlur"
        | "feMerge"
        | "feMergeNode"
        | "feMorphology"
        | "feOffset"
        | "fePointLight"
        | "feSpecularLighting"
        | "feSpotLight"
        | "feTile"
        | "feTurbulence" => Content::Elements,
        "animate" | "animateMotion" | "animateTransform" | "set" | "mpath" => Content::Elements,
        "text" | "tspan" | "textPath" => Content::Mixed,
        "title" | "desc" => Content::Text,
        "style" => Content::Style,
        _ => return None,
    };
    Some(content)
}

/// Whether the element changes a picture over time.
pub(crate) fn is_animation(name: &str) -> bool {
    matches!(
        name,
        "animate" | "animateMotion" | "animateTransform" | "set"
    )
}

/// What an attribute's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Follows the grammar of [`value`](crate::value).
    Value,
    /// Several of them, with semicolons between.
    List,
    /// Names the element.
    Id,
    /// Names classes.
    Classes,
    /// Declarations.
    Style,
    /// Words for people and for screen readers.
    Words,
    /// The attribute that an animation changes.
    Animated,
    /// One or two small whole numbers: the sides of a matrix.
    Order,
    /// Names of features, which are written as URLs and never fetched.
    Features,
}

/// What the attribute's value is, or nothing where it may not stay. The same for every element: an attribute in the wrong
/// place does nothing. References (`href`) are handled apart.
pub(crate) fn attribute(name: &str) -> Option<Kind> {
    match name {
        "id" => Some(Kind::Id),
        "class" => Some(Kind::Classes),
        "style" => Some(Kind::Style),
        "aria-label" | "aria-roledescription" => Some(Kind::Words),
        "attributeName" => Some(Kind::Animated),
        "requiredFeatures" => Some(Kind::Features),
        "order" => Some(Kind::Order),
        "begin" | "end" | "values" | "keyTimes" | "keySplines" | "keyPoints" => Some(Kind::List),
        _ if VALUES.binary_search(&name).is_ok() => Some(Kind::Value),
        _ => None,
    }
}

/// Whether an animation may change the attribute: what places, sizes and paints, but no reference, style or class.
pub(crate) fn may_be_animated(name: &str) -> bool {
    const NEVER: &[&str] = &[
        "role", "xmlns", "version", "type", "media", "result", "in", "in2",
    ];
    VALUES.binary_search(&name).is_ok() && !name.starts_with("aria-") && !NEVER.contains(&name)
}

/// Attributes whose value is of the kind `Value`.
const VALUES: &[&str] = &[
    "accumulate",
    "additive",
    "alignment-baseline",
    "amplitude",
    "aria-describedby",
    "aria-hidden",
    "aria-labelledby",
    "attributeType",
    "azimuth",
    "background-color",
    "baseFrequency",
    "baseProfile",
    "baseline-shift",
    "bias",
    "by",
    "calcMode",
    "clip",
    "clip-path",
    "clip-rule",
    "clipPathUnits",
    "color",
    "color-interpolation",
    "color-interpolation-filters",
    "color-rendering",
    "cx",
    "cy",
    "d",
    "diffuseConstant",
    "direction",
    "display",
    "divisor",
    "dominant-baseline",
    "dur",
    "dx",
    "dy",
    "edgeMode",
    "elevation",
    "enable-background",
    "exponent",
    "fill",
    "fill-opacity",
    "fill-rule",
    "filter",
    "filterUnits",
    "flood-color",
    "flood-opacity",
    "focusable",
    "font-family",
    "font-feature-settings",
    "font-kerning",
    "font-size",
    "font-size-adjust",
    "font-stretch",
    "font-style",
    "font-variant",
    "font-variant-caps",
    "font-variant-east-asian",
    "font-variant-ligatures",
    "font-variant-numeric",
    "font-variant-position",
    "font-variation-settings",
    "font-weight",
    "fr",
    "from",
    "fx",
    "fy",
    "glyph-orientation-horizontal",
    "glyph-orientation-vertical",
    "gradientTransform",
    "gradientUnits",
    "height",
    "image-rendering",
    "in",
    "in2",
    "intercept",
    "isolation",
    "k1",
    "k2",
    "k3",
    "k4",
    "kernelMatrix",
    "kernelUnitLength",
    "kerning",
    "lang",
    "lengthAdjust",
    "letter-spacing",
    "lighting-color",
    "limitingConeAngle",
    "line-height",
    "marker-end",
    "marker-mid",
    "marker-start",
    "markerHeight",
    "markerUnits",
    "markerWidth",
    "mask",
    "mask-type",
    "maskContentUnits",
    "maskUnits",
    "max",
    "media",
    "method",
    "min",
    "mix-blend-mode",
    "mode",
    "numOctaves",
    "offset",
    "opacity",
    "operator",
    "orient",
    "origin",
    "overflow",
    "paint-order",
    "path",
    "pathLength",
    "patternContentUnits",
    "patternTransform",
    "patternUnits",
    "pointer-events",
    "points",
    "pointsAtX",
    "pointsAtY",
    "pointsAtZ",
    "preserveAlpha",
    "preserveAspectRatio",
    "primitiveUnits",
    "r",
    "radius",
    "refX",
    "refY",
    "repeatCount",
    "repeatDur",
    "restart",
    "result",
    "role",
    "rotate",
    "rx",
    "ry",
    "scale",
    "seed",
    "shape-rendering",
    "side",
    "slope",
    "solid-color",
    "solid-opacity",
    "spacing",
    "specularConstant",
    "specularExponent",
    "spreadMethod",
    "startOffset",
    "stdDeviation",
    "stitchTiles",
    "stop-color",
    "stop-opacity",
    "stroke",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-miterlimit",
    "stroke-opacity",
    "stroke-width",
    "surfaceScale",
    "systemLanguage",
    "tableValues",
    "targetX",
    "targetY",
    "text-anchor",
    "text-decoration",
    "text-decoration-color",
    "text-decoration-line",
    "text-decoration-style",
    "text-orientation",
    "text-rendering",
    "textLength",
    "to",
    "transform",
    "transform-box",
    "transform-origin",
    "type",
    "unicode-bidi",
    "vector-effect",
    "version",
    "viewBox",
    "visibility",
    "white-space",
    "width",
    "word-spacing",
    "writing-mode",
    "x",
    "x1",
    "x2",
    "xChannelSelector",
    "y",
    "y1",
    "y2",
    "yChannelSelector",
    "z",
    "zoomAndPan",
];

/// Whether every word names a feature of SVG 1.1.
pub(crate) fn are_features(value: &str) -> bool {
    const PREFIX: &str = "http://www.w3.org/TR/SVG11/feature#";
    value.split_ascii_whitespace().all(|word| {
        word.strip_prefix(PREFIX)
            .is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_the_search() {
        assert!(VALUES.is_sorted());
    }

    #[test]
    fn nothing_that_runs_or_loads_is_named() {
        for name in [
            "script",
            "handler",
            "foreignObject",
            "iframe",
            "feImage",
            "cursor",
            "font-face-uri",
            "SCRIPT",
            "discard",
        ] {
            assert_eq!(element(name), None, "{name}");
        }
        for name in [
            "onload", "onclick", "href", "src", "xml:base", "base", "target", "ping", "ONLOAD",
        ] {
            assert_eq!(attribute(name), None, "{name}");
        }
        for name in [
            "href",
            "xlink:href",
            "style",
            "class",
            "id",
            "onload",
            "attributeName",
        ] {
            assert!(!may_be_animated(name), "{name}");
        }
    }
}
