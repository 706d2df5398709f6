//! Which rules of the style sheets apply to which elements.

use std::collections::HashMap;

use resvg::usvg::roxmltree::Node;

use crate::{
    Limits, SvgError, css,
    css::selector::{Combinator, Key, Part, Selector},
    removed::Account,
};

/// Comparing an element with a selector once, nanoseconds.
const STEP_NS: u64 = 20;
/// Writing a declaration into an element.
const APPLIED_NS: u64 = 100;
/// The renderer's copy of a declaration, for each selector of its rule, bytes.
const DECLARATION: u64 = 40;

/// A selector with those of its rule's properties that have references.
struct Entry {
    selector: Selector,
    declarations: u64,
    referring: Vec<(String, String)>,
}

/// The rules of all style sheets, by what they select at least.
#[derive(Default)]
pub(super) struct Sheet {
    by_key: HashMap<Key, Vec<Entry>>,
    selectors: u64,
    declarations: u64,
}

impl Sheet {
    pub(super) fn of(nodes: &[Node<'_, '_>]) -> Sheet {
        let mut sheet = Sheet::default();
        for node in nodes
            .iter()
            .filter(|node| node.tag_name().name() == "style")
        {
            let mut ignored = Account::new(0);
            for rule in css::sheet(node.text().unwrap_or_default(), &mut ignored) {
                for selector in rule.selectors {
                    let declarations = rule.declarations.len() as u64;
                    sheet.selectors += 1;
                    sheet.declarations += declarations;
                    let referring = rule
                        .declarations
                        .iter()
                        .filter(|declaration| declaration.value.contains("url(#"))
                        .map(|declaration| (declaration.name.clone(), declaration.value.clone()))
                        .collect();
                    sheet.by_key.entry(selector.key()).or_default().push(Entry {
                        selector,
                        declarations,
                        referring,
                    });
                }
            }
        }
        sheet
    }

    /// How many selectors there are.
    pub(super) fn selectors(&self) -> u64 {
        self.selectors
    }

    /// The renderer's memory for the sheets.
    pub(super) fn bytes(&self) -> u64 {
        self.declarations * DECLARATION
    }

    /// The properties with references that the sheets give to an element. Attributes and pseudo-classes in selectors count as
    /// fulfilled.
    pub(super) fn matching<'a>(
        &'a self,
        node: Node<'a, 'a>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        keys(node)
            .into_iter()
            .filter_map(|key| self.by_key.get(&key))
            .flatten()
            .filter(move |entry| {
                !entry.referring.is_empty() && selects(&entry.selector.parts, node)
            })
            .flat_map(|entry| &entry.referring)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What matching costs at most: for each descendant combinator every way up through the ancestors is tried.
    pub(super) fn matching_ns(
        &self,
        nodes: &[Node<'_, '_>],
        limits: &Limits,
    ) -> Result<u64, SvgError> {
        let mut ns = 0_u64;
        for node in nodes {
            let depth = node.ancestors().count() as u64;
            let entries = keys(*node)
                .into_iter()
                .filter_map(|key| self.by_key.get(&key))
                .flatten();
            for entry in entries {
                let ways = depth.saturating_pow(entry.selector.descendants());
                let applied = entry.declarations * APPLIED_NS;
                ns = ns.saturating_add(ways.saturating_mul(STEP_NS).saturating_add(applied));
            }
            if ns / 1_000 > limits.work_us {
                return Err(SvgError::OverBudget {
                    what: "the time to match style selectors, in microseconds,".to_owned(),
                    cost: ns / 1_000,
                    limit: limits.work_us,
                });
            }
        }
        Ok(ns)
    }
}

/// The keys that select a node.
fn keys(node: Node<'_, '_>) -> Vec<Key> {
    let mut keys = vec![Key::Any, Key::Type(node.tag_name().name().to_owned())];
    if let Some(id) = node.attribute("id") {
        keys.push(Key::Id(id.to_owned()));
    }
    if let Some(classes) = node.attribute("class") {
        keys.extend(classes.split(' ').map(|class| Key::Class(class.to_owned())));
    }
    keys
}

/// Whether the last of `parts` selects the node, and the others what is above and before it.
fn selects(parts: &[Part], node: Node<'_, '_>) -> bool {
    let Some((last, before)) = parts.split_last() else {
        return true;
    };
    if !fits(last, node) {
        return false;
    }
    match last.combinator {
        Combinator::None => true,
        Combinator::Child => node
            .parent_element()
            .is_some_and(|parent| selects(before, parent)),
        Combinator::Adjacent => node
            .prev_sibling_element()
            .is_some_and(|sibling| selects(before, sibling)),
        Combinator::Descendant => node
            .ancestors()
            .skip(1)
            .filter(Node::is_element)
            .any(|ancestor| selects(before, ancestor)),
    }
}

fn fits(part: &Part, node: Node<'_, '_>) -> bool {
    let has_class = |class: &String| {
        node.attribute("class")
            .is_some_and(|classes| classes.split(' ').any(|name| name == class))
    };
    part.name
        .as_deref()
        .is_none_or(|name| node.tag_name().name() == name)
        && part
            .id
            .as_deref()
            .is_none_or(|id| node.attribute("id") == Some(id))
        && part.classes.iter().all(has_class)
}
