//! What a file grows to when its references are followed, counted before the renderer follows them.
//!
//! A few hundred bytes can stand for millions of shapes: a `use` of a group of `use`s, a pattern filled with a pattern, a
//! marker at every point of a line. The renderer builds a tree of all of them before it draws. This walks the same way,
//! with a counter instead of a tree, and stops when the counter is full; so the walk itself is bounded as well. Where the
//! style sheet decides, it counts too much rather than too little.

mod cycle;
mod graph;
mod sheet;
mod text;

use std::collections::HashSet;

use resvg::usvg::roxmltree::Document;

use crate::{Limits, SvgError};
use graph::{Graph, Index, Paints};

/// What the renderer's tree needs for an element, a character, a gradient's stop and a number of a path, bytes.
const ELEMENT: u64 = 1_000;
const CHARACTER: u64 = 600;
const STOP: u64 = 40;
const NUMBER: u64 = 40;
/// And what building it costs, in nanoseconds.
const ELEMENT_NS: u64 = 2_000;
const NUMBER_NS: u64 = 40;
/// Walking through an element costs this part of making it.
const WALKED_AGAIN: u64 = 4;
/// Looking an inherited property up, an attribute of an ancestor.
const ANCESTOR_NS: u64 = 30;
/// Comparing an element with a selector.
const SELECTOR_NS: u64 = 25;

/// What is needed for a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Memory for the tree, bytes.
    pub(crate) bytes: u64,
    /// Time to build it, nanoseconds.
    pub(crate) ns: u64,
}

/// Counts what `document`, which must be clean, grows to; refuses what goes in circles or beyond the limits.
pub(crate) fn count(document: &Document<'_>, limits: &Limits) -> Result<Need, SvgError> {
    let graph = Graph::new(document, limits)?;
    cycle::refuse(&graph)?;
    let mut walk = Walk {
        graph: &graph,
        limits,
        need: Need::default(),
        shared: HashSet::new(),
        path: Vec::new(),
        made: 0,
        again: 0,
    };
    walk.spend(graph.sheet_bytes(), graph.scan_ns())?;
    walk.copy(graph.root(), 0)?;
    walk.convert(graph.root(), &Paints::default(), 0)?;
    Ok(walk.need)
}

struct Walk<'a> {
    graph: &'a Graph<'a>,
    limits: &'a Limits,
    need: Need,
    /// Resources that the renderer converts once for all who refer to them.
    shared: HashSet<Index>,
    /// Resources that are being converted.
    path: Vec<Index>,
    /// Above 0 inside of what has been made before: it takes no more memory, but it is walked through again.
    again: u32,
    /// Resources made so far. The renderer collects them, and compares each new one with all before.
    made: u64,
}

impl Walk<'_> {
    fn spend(&mut self, bytes: u64, ns: u64) -> Result<(), SvgError> {
        let (bytes, ns) = match self.again {
            0 => (bytes, ns),
            _ => (0, ns / WALKED_AGAIN),
        };
        self.need.bytes = self.need.bytes.saturating_add(bytes);
        self.need.ns = self.need.ns.saturating_add(ns);
        if self.need.bytes > self.limits.tree_bytes {
            return Err(SvgError::OverBudget {
                what: "the memory for what references expand to, in bytes,".to_owned(),
                cost: self.need.bytes,
                limit: self.limits.tree_bytes,
            });
        }
        if self.need.ns / 1_000 > self.limits.work_us {
            return Err(SvgError::OverBudget {
                what: "the time for what references expand to, in microseconds,".to_owned(),
                cost: self.need.ns / 1_000,
                limit: self.limits.work_us,
            });
        }
        Ok(())
    }

    fn deeper(&self, depth: u32) -> Result<u32, SvgError> {
        if depth >= self.limits.reference_depth {
            return Err(SvgError::OverBudget {
                what: "the depth of elements with their references".to_owned(),
                cost: u64::from(depth) + 1,
                limit: self.limits.reference_depth.into(),
            });
        }
        Ok(depth + 1)
    }

    /// The renderer's first pass: all elements, and a copy of each target of `use`.
    fn copy(&mut self, at: Index, depth: u32) -> Result<(), SvgError> {
        let depth = self.deeper(depth)?;
        let node = self.graph.node(at);
        let selectors = self.graph.selectors() * SELECTOR_NS;
        self.spend(
            200 + node.attributes * 80,
            selectors + 500 + node.attributes * 50,
        )?;
        if let Some(target) = node.target {
            self.copy(target, depth)?;
        }
        for child in self.graph.children(at) {
            self.copy(child, depth)?;
        }
        Ok(())
    }

    /// Its second pass: what is drawn, and what that refers to.
    fn convert(&mut self, at: Index, inherited: &Paints, depth: u32) -> Result<(), SvgError> {
        let depth = self.deeper(depth)?;
        let node = self.graph.node(at);
        if !node.drawn {
            return Ok(());
        }
        let above = self.graph.attributes_above(at);
        self.spend(
            ELEMENT + node.image_bytes,
            ELEMENT_NS + (above + u64::from(depth)) * ANCESTOR_NS + node.image_bytes / 2,
        )?;
        let paints = node.paints.over(inherited);
        for resource in &node.resources {
            self.resource(*resource, 1, depth)?;
        }
        if node.numbers > 0 {
            self.spend(node.numbers * NUMBER, node.numbers * NUMBER_NS)?;
        }
        if node.characters > 0 {
            self.spend(node.characters * CHARACTER, node.text_ns)?;
        }
        if node.shape {
            for paint in paints.fill.iter().chain(&paints.stroke) {
                self.resource(*paint, node.spans, depth)?;
            }
            for marker in &paints.marker_ends {
                self.resource(*marker, 2, depth)?;
            }
            for marker in &paints.marker_mids {
                self.resource(*marker, node.numbers.max(1), depth)?;
            }
        }
        if node.characters > 0 {
            self.inside_text(at, depth)?;
        }
        if let Some(target) = node.target {
            self.convert_target(target, &paints, depth)?;
        }
        for child in self.graph.children(at) {
            self.convert(child, &paints, depth)?;
        }
        Ok(())
    }

    /// The parts of a text may be painted on their own.
    fn inside_text(&mut self, at: Index, depth: u32) -> Result<(), SvgError> {
        let depth = self.deeper(depth)?;
        for child in self.graph.children(at) {
            let node = self.graph.node(child);
            if let Some(path) = node.link {
                let numbers = self.graph.node(path).numbers;
                self.spend(0, text::on_a_path(node.characters, numbers))?;
            }
            let paints = &node.paints;
            for paint in paints.fill.iter().chain(&paints.stroke) {
                self.resource(*paint, 1, depth)?;
            }
            self.inside_text(child, depth)?;
        }
        Ok(())
    }

    /// A symbol is drawn only where a `use` says so.
    fn convert_target(&mut self, at: Index, paints: &Paints, depth: u32) -> Result<(), SvgError> {
        if !self.graph.node(at).symbol {
            return self.convert(at, paints, depth);
        }
        let depth = self.deeper(depth)?;
        self.spend(ELEMENT, ELEMENT_NS)?;
        let paints = self.graph.node(at).paints.over(paints);
        for child in self.graph.children(at) {
            self.convert(child, &paints, depth)?;
        }
        Ok(())
    }

    /// A gradient, pattern, mask, clip path, filter or marker, as often as it is made.
    fn resource(&mut self, at: Index, times: u64, depth: u32) -> Result<(), SvgError> {
        if self.path.contains(&at) {
            return Err(SvgError::Cycle {
                id: self.graph.name(at),
            });
        }
        let shareable = self.graph.node(at).shareable;
        let again = u32::from(shareable && !self.shared.insert(at));
        self.again += again;
        self.path.push(at);
        let depth = self.deeper(depth)?;
        let times = if shareable { 1 } else { times };
        for _ in 0..times {
            self.content(at, depth)?;
        }
        self.path.pop();
        self.again -= again;
        Ok(())
    }

    /// What is in a resource.
    fn content(&mut self, at: Index, depth: u32) -> Result<(), SvgError> {
        self.made += 1;
        self.spend(ELEMENT / 2, ELEMENT_NS + self.made)?;
        for resource in &self.graph.node(at).resources {
            self.resource(*resource, 1, depth)?;
        }
        // A resource takes its properties from where it stands, not from who refers to it.
        let inherited = self.graph.paints_at(at);
        // Its content may be another's, through a chain of references.
        for link in self.graph.chain(at) {
            self.spend(0, ELEMENT_NS)?;
            for child in self.graph.children(link) {
                let inside = self.graph.node(child);
                if inside.drawn {
                    self.convert(child, &inherited, depth)?;
                } else {
                    self.spend(STOP + inside.attributes * 8, 400)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
