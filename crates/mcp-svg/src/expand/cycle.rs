//! References that lead back to where they started.

use super::graph::{Graph, Index};
use crate::SvgError;

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Refuses a file in which an element refers to itself, over whatever way: the renderer guards against some of them only.
/// Walks with a list of its own, since ways are as long as the file.
pub(super) fn refuse(graph: &Graph<'_>) -> Result<(), SvgError> {
    let mut marks = vec![Mark::New; graph.len()];
    for start in graph.all() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        let mut way: Vec<(Index, usize)> = vec![(start, 0)];
        while let Some((at, next)) = way.last_mut() {
            let edges = graph.edges(*at);
            let Some(&to) = edges.get(*next) else {
                marks[*at] = Mark::Done;
                way.pop();
                continue;
            };
            *next += 1;
            match marks[to] {
                Mark::Done => {}
                Mark::New => {
                    marks[to] = Mark::Open;
                    way.push((to, 0));
                }
                Mark::Open => {
                    return Err(SvgError::Cycle { id: graph.name(to) });
                }
            }
        }
    }
    Ok(())
}
