//! The elements of a file with their references resolved.

use std::collections::HashMap;

use resvg::usvg::roxmltree::{Document, Node};

use super::{sheet::Sheet, text};
use crate::{
    Limits, SvgError, allow,
    css::{self, Declaration},
    removed::Account,
    value,
};

/// An element, counted from the root in the order of the file.
pub(super) type Index = usize;

/// The resources that paint a shape, where they are inherited. There may be more than one of a kind where the style sheet
/// decides: all are counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Paints {
    pub(super) fill: Vec<Index>,
    pub(super) stroke: Vec<Index>,
    pub(super) marker_ends: Vec<Index>,
    pub(super) marker_mids: Vec<Index>,
    /// Which of the four are set here, so that nothing is inherited.
    set: [bool; 4],
}

impl Paints {
    /// These, and those of the parent where nothing is set here.
    pub(super) fn over(&self, parent: &Paints) -> Paints {
        let pick = |own: &[Index], theirs: &[Index], set: bool| {
            let mut all = own.to_vec();
            if !set {
                all.extend(theirs.iter().filter(|index| !own.contains(index)));
            }
            all
        };
        Paints {
            fill: pick(&self.fill, &parent.fill, self.set[0]),
            stroke: pick(&self.stroke, &parent.stroke, self.set[1]),
            marker_ends: pick(&self.marker_ends, &parent.marker_ends, self.set[2]),
            marker_mids: pick(&self.marker_mids, &parent.marker_mids, self.set[3]),
            set: [false; 4],
        }
    }
}

/// What counts of an element.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) attributes: u64,
    /// Drawn where it stands, unlike a definition.
    pub(super) drawn: bool,
    pub(super) symbol: bool,
    /// Has a fill and a stroke.
    pub(super) shape: bool,
    /// How often it is filled: once, but a text for each of its parts.
    pub(super) spans: u64,
    /// Converted once for all who refer to it.
    pub(super) shareable: bool,
    /// Numbers in a path or a list of points.
    pub(super) numbers: u64,
    pub(super) characters: u64,
    /// The time to set a text.
    pub(super) text_ns: u64,
    pub(super) image_bytes: u64,
    /// What `use` draws.
    pub(super) target: Option<Index>,
    /// What a gradient, pattern or filter takes its content from, or text its path.
    pub(super) link: Option<Index>,
    /// Mask, clip path and filters.
    pub(super) resources: Vec<Index>,
    pub(super) paints: Paints,
    parent: Option<Index>,
    children: Vec<Index>,
    edges: Vec<Index>,
    name: String,
}

pub(super) struct Graph<'a> {
    elements: Vec<Element>,
    ids: HashMap<&'a str, Index>,
    selectors: u64,
    selector_ns: u64,
    sheet_bytes: u64,
}

impl<'a> Graph<'a> {
    /// Fails where matching the style sheet's selectors alone would take too long.
    pub(super) fn new(document: &'a Document<'a>, limits: &Limits) -> Result<Graph<'a>, SvgError> {
        let nodes: Vec<Node<'a, 'a>> = document.descendants().filter(Node::is_element).collect();
        let mut ids = HashMap::new();
        let mut places = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            places.insert(node.id(), index);
            if let Some(id) = node.attribute("id") {
                ids.entry(id).or_insert(index);
            }
        }
        let sheet = Sheet::of(&nodes);
        let mut graph = Graph {
            elements: Vec::with_capacity(nodes.len()),
            ids,
            selectors: sheet.selectors(),
            selector_ns: sheet.matching_ns(&nodes, limits)?,
            sheet_bytes: sheet.bytes(),
        };
        for node in &nodes {
            let mut element = graph.element(*node, &sheet);
            element.parent = node
                .parent_element()
                .and_then(|parent| places.get(&parent.id()).copied());
            graph.elements.push(element);
        }
        for index in 1..graph.elements.len() {
            if let Some(parent) = graph.elements[index].parent {
                graph.elements[parent].children.push(index);
                graph.elements[parent].edges.push(index);
            }
        }
        Ok(graph)
    }

    fn element(&self, node: Node<'a, 'a>, sheet: &Sheet) -> Element {
        let name = node.tag_name().name();
        let mut element = Element {
            attributes: node.attributes().len() as u64,
            drawn: matches!(
                name,
                "svg"
                    | "g"
                    | "a"
                    | "switch"
                    | "use"
                    | "path"
                    | "rect"
                    | "circle"
                    | "ellipse"
                    | "line"
                    | "polyline"
                    | "polygon"
                    | "image"
                    | "text"
            ),
            symbol: name == "symbol",
            name: node.attribute("id").unwrap_or(name).to_owned(),
            shareable: is_shareable(node),
            ..Element::default()
        };
        match name {
            "path" | "polyline" | "polygon" => {
                let data = node.attribute("d").or(node.attribute("points"));
                element.numbers = data.map_or(0, numbers);
                element.shape = true;
            }
            "rect" | "circle" | "ellipse" | "line" => {
                element.numbers = 16;
                element.shape = true;
            }
            "text" => {
                element.shape = true;
                let text = text::count(node);
                element.characters = text.characters;
                element.spans = text.spans;
                element.text_ns = text.ns;
            }
            "textPath" => {
                element.characters = text::count(node).characters;
            }
            "image" => {
                let url = href(node).unwrap_or_default();
                element.image_bytes = url.len() as u64 / 4 * 3;
            }
            _ => {}
        }
        element.spans = element.spans.max(1);
        if let Some(to) = href(node).and_then(|href| self.find(href.strip_prefix('#')?)) {
            match name {
                "use" => element.target = Some(to),
                _ if allow::is_animation(name) || name == "mpath" => {}
                _ => element.link = Some(to),
            }
        }
        self.styles(node, sheet, &mut element);
        element.edges.extend(element.target);
        element.edges.extend(element.link);
        element.edges.extend(&element.resources);
        let paints = &element.paints;
        for list in [
            &paints.fill,
            &paints.stroke,
            &paints.marker_ends,
            &paints.marker_mids,
        ] {
            element.edges.extend(list);
        }
        element
    }

    /// References in attributes, the `style` attribute and all rules that may apply.
    fn styles(&self, node: Node<'a, 'a>, sheet: &Sheet, element: &mut Element) {
        for attribute in node.attributes() {
            if attribute.name() == "style" {
                let mut ignored = Account::new(0);
                for Declaration { name, value, .. } in
                    css::declarations(attribute.value(), &mut ignored)
                {
                    self.style(&name, &value, true, element);
                }
            } else {
                self.style(attribute.name(), attribute.value(), true, element);
            }
        }
        for (name, value) in sheet.matching(node) {
            self.style(name, value, false, element);
        }
    }

    /// Takes note of a property. `certain` tells whether it does apply, so that nothing is inherited.
    fn style(&self, name: &str, value: &str, certain: bool, element: &mut Element) {
        let found = || value::references(value).filter_map(|id| self.find(id));
        let certain =
            certain && !matches!(value, "inherit" | "unset") && !value.starts_with("var(");
        let paints = &mut element.paints;
        match name {
            "fill" => {
                paints.fill.extend(found());
                paints.set[0] |= certain && !value.starts_with("context-");
            }
            "stroke" => {
                paints.stroke.extend(found());
                paints.set[1] |= certain && !value.starts_with("context-");
            }
            "marker-start" | "marker-end" => paints.marker_ends.extend(found()),
            "marker-mid" => {
                paints.marker_mids.extend(found());
                paints.set[3] |= certain;
            }
            "marker" => {
                paints.marker_ends.extend(found());
                paints.marker_mids.extend(found());
            }
            "mask" | "clip-path" | "filter" => element.resources.extend(found()),
            _ => {}
        }
    }

    fn find(&self, id: &str) -> Option<Index> {
        self.ids.get(id).copied()
    }

    pub(super) fn root(&self) -> Index {
        0
    }

    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Index> + use<> {
        0..self.elements.len()
    }

    pub(super) fn node(&self, at: Index) -> &Element {
        &self.elements[at]
    }

    pub(super) fn edges(&self, at: Index) -> &[Index] {
        &self.elements[at].edges
    }

    pub(super) fn children(&self, at: Index) -> impl Iterator<Item = Index> + '_ {
        self.elements[at].children.iter().copied()
    }

    pub(super) fn name(&self, at: Index) -> String {
        self.elements[at].name.chars().take(100).collect()
    }

    /// How many selectors each element is compared with.
    pub(super) fn selectors(&self) -> u64 {
        self.selectors
    }

    /// The renderer's memory for the style sheets.
    pub(super) fn sheet_bytes(&self) -> u64 {
        self.sheet_bytes
    }

    fn ancestors(&self, at: Index) -> impl Iterator<Item = Index> + '_ {
        std::iter::successors(self.elements[at].parent, |at| self.elements[*at].parent)
    }

    pub(super) fn attributes_above(&self, at: Index) -> u64 {
        self.ancestors(at)
            .map(|at| self.elements[at].attributes)
            .sum()
    }

    /// What an element inherits where it stands, its own properties included.
    pub(super) fn paints_at(&self, at: Index) -> Paints {
        let mut way: Vec<Index> = self.ancestors(at).collect();
        way.reverse();
        way.push(at);
        way.iter().fold(Paints::default(), |above, at| {
            self.elements[*at].paints.over(&above)
        })
    }

    /// The element and those that it takes content from.
    pub(super) fn chain(&self, at: Index) -> Vec<Index> {
        let mut chain = vec![at];
        while let Some(next) = self.elements[chain[chain.len() - 1]].link {
            if chain.contains(&next) {
                break;
            }
            chain.push(next);
        }
        chain
    }

    /// What it costs the renderer to look for circles among patterns, masks, clip paths and filters, and to match selectors
    /// with descendants in them: for each resource it looks at all in it, and at all in what those refer to.
    pub(super) fn scan_ns(&self) -> u64 {
        let mut sizes = vec![1_u64; self.elements.len()];
        for at in (0..self.elements.len()).rev() {
            if let Some(parent) = self.elements[at].parent {
                sizes[parent] = sizes[parent].saturating_add(sizes[at]);
            }
        }
        let mut ns = self.selector_ns;
        for at in self.all() {
            let element = &self.elements[at];
            let paints = &element.paints;
            let looked_at: u64 = element
                .resources
                .iter()
                .chain(&paints.fill)
                .chain(&paints.stroke)
                .chain(element.target.as_ref())
                .map(|to| sizes[*to])
                .sum();
            let resources_above = self
                .ancestors(at)
                .filter(|at| !self.elements[*at].drawn)
                .count() as u64;
            ns = ns.saturating_add((1 + looked_at) * resources_above * 60 + looked_at * 20);
        }
        ns
    }
}

/// Whether the renderer makes it once, since it does not depend on who refers to it.
fn is_shareable(node: Node<'_, '_>) -> bool {
    let is = |name: &str, value: &str| node.attribute(name) == Some(value);
    let href = href(node).is_some();
    match node.tag_name().name() {
        "pattern" => {
            is("patternUnits", "userSpaceOnUse")
                && !is("patternContentUnits", "objectBoundingBox")
                && !href
        }
        "linearGradient" | "radialGradient" => is("gradientUnits", "userSpaceOnUse"),
        "clipPath" => !is("clipPathUnits", "objectBoundingBox"),
        "mask" => is("maskUnits", "userSpaceOnUse") && !is("maskContentUnits", "objectBoundingBox"),
        "filter" => {
            is("filterUnits", "userSpaceOnUse")
                && !is("primitiveUnits", "objectBoundingBox")
                && !href
        }
        _ => false,
    }
}

/// The reference, of which clean files have one at most.
fn href<'a>(node: Node<'a, 'a>) -> Option<&'a str> {
    node.attributes()
        .find(|attribute| attribute.name() == "href")
        .map(|attribute| attribute.value())
}

/// Numbers and commands in path data, at least.
fn numbers(data: &str) -> u64 {
    let mut count = 0;
    let mut inside = false;
    let mut dot = false;
    for byte in data.bytes() {
        let digit = byte.is_ascii_digit();
        // As in "1.5.5", which are two.
        let again = byte == b'.' && dot;
        if (digit && !inside)
            || again
            || (byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E'))
        {
            count += 1;
        }
        dot = byte == b'.' || (dot && digit);
        inside = digit || byte == b'.' && inside;
    }
    // An arc's flags may stand without space between, and it becomes up to five curves.
    if data.contains(['a', 'A']) {
        count * 6
    } else {
        count
    }
}
