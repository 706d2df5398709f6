//! Paths: their edges, the area that they cover, and their dashes.

use resvg::{
    tiny_skia::{PathSegment, Point, Transform},
    usvg::{Paint, Path, Stroke},
};

use super::{Area, Meter, Surface};
use crate::SvgError;

/// Building an edge, nanoseconds.
const EDGE_NS: f64 = 60.0;
/// Following an edge down a row: each pixel has four.
const ROW_NS: f64 = 10.0;
/// Painting a pixel in one colour, with a gradient, for each of its stops, and with a pattern.
const COLOR_NS: f64 = 1.5;
const GRADIENT_NS: f64 = 12.0;
const STOP_NS: f64 = 1.5;
const PATTERN_NS: f64 = 60.0;
/// Computing the outline of a stroke, a segment.
const OUTLINE_NS: f64 = 400.0;
/// The renderer gives up dashing at a million; this is where it becomes slow and large.
const MOST_DASHES: f64 = 20_000.0;
/// Places farther out are refused, in pixels: two thousand times the canvas.
const FARTHEST_PLACE: f64 = 1e6;
/// The outline of a segment has so many edges: two sides, a join and a cap.
const EDGES_OF_A_STROKE: f64 = 12.0;

/// What a path looks like on a surface.
struct Shape {
    segments: f64,
    /// All its ups and downs that lie on the surface, pixels.
    rows: f64,
    /// The same sideways.
    columns: f64,
    /// Its length on and off the surface, pixels.
    length: f64,
    /// The same in its own units.
    own_length: f64,
}

impl Meter<'_> {
    pub(super) fn path(
        &mut self,
        path: &Path,
        transform: Transform,
        surface: Surface,
        bounds: Area,
    ) -> Result<(), SvgError> {
        if !path.is_visible() {
            return Ok(());
        }
        if path.fill().is_some() {
            self.fill(path, transform, surface, Some(bounds))?;
        }
        match path.stroke() {
            Some(stroke) => self.stroke(path, stroke, transform, surface, bounds),
            None => Ok(()),
        }
    }

    /// `bounds` is nothing inside of clip paths, where the paint does not matter.
    pub(super) fn fill(
        &mut self,
        path: &Path,
        transform: Transform,
        surface: Surface,
        bounds: Option<Area>,
    ) -> Result<(), SvgError> {
        let shape = shape(path, transform, surface);
        let covered = self.extent(path, transform, 0.0)?.on(surface);
        self.edges(shape.segments, shape.rows, shape.columns, covered)?;
        let pixels = covered.pixels();
        match (path.fill(), bounds) {
            (Some(fill), Some(bounds)) => self.paint(fill.paint(), pixels, transform, bounds),
            _ => self.spend(pixels * COLOR_NS),
        }
    }

    fn stroke(
        &mut self,
        path: &Path,
        stroke: &Stroke,
        transform: Transform,
        surface: Surface,
        bounds: Area,
    ) -> Result<(), SvgError> {
        let shape = shape(path, transform, surface);
        let (sx, sy) = transform.get_scale();
        let width = f64::from(stroke.width().get()) * f64::from(sx.max(sy)) + 2.0;
        // Pointed joins reach beyond half the width.
        let reach = width * f64::from(stroke.miterlimit().get()).max(1.0);
        let covered = self.extent(path, transform, reach)?.on(surface);
        let pieces = shape.segments + self.dashes(stroke, &shape)?;
        self.spend(pieces * OUTLINE_NS)?;
        let rows = (2.0 * shape.rows + 2.0 * pieces * width.min(surface.height))
            .min(pieces * EDGES_OF_A_STROKE * surface.height);
        let columns = 2.0 * shape.columns + 2.0 * pieces * width.min(surface.width);
        self.edges(pieces * EDGES_OF_A_STROKE, rows, columns, covered)?;
        let pixels = covered.pixels().min((shape.length + width) * width * 2.0);
        self.paint(stroke.paint(), pixels, transform, bounds)
    }

    /// How many dashes a stroke falls into.
    fn dashes(&self, stroke: &Stroke, shape: &Shape) -> Result<f64, SvgError> {
        let Some(array) = stroke.dasharray() else {
            return Ok(0.0);
        };
        let interval: f64 = array.iter().map(|dash| f64::from(*dash)).sum();
        let dashes = shape.own_length * array.len() as f64 / interval;
        self.sane("the number of dashes of a stroke", dashes, MOST_DASHES)?;
        Ok(dashes)
    }

    /// Following edges down `rows`. On the way sideways an edge crosses those that lie there.
    fn edges(
        &mut self,
        edges: f64,
        rows: f64,
        columns: f64,
        covered: Area,
    ) -> Result<(), SvgError> {
        let side_by_side = rows / covered.height().max(1.0);
        let crossings = columns * side_by_side / covered.width().max(1.0);
        self.spend(edges * EDGE_NS + rows * 4.0 * ROW_NS + crossings)
    }

    /// Where a path is on the canvas, with `reach` around it. Far outside the renderer's arithmetic fails.
    fn extent(&self, path: &Path, transform: Transform, reach: f64) -> Result<Area, SvgError> {
        let covered = path.data().bounds().transform(transform).map(Area::of);
        let covered = covered.map(|covered| covered.grown(reach));
        let farthest = covered.map_or(f64::INFINITY, Area::farthest);
        self.sane(
            "a place on the canvas, in pixels,",
            farthest,
            FARTHEST_PLACE,
        )?;
        Ok(covered.unwrap_or(Area::NONE))
    }

    fn paint(
        &mut self,
        paint: &Paint,
        pixels: f64,
        transform: Transform,
        bounds: Area,
    ) -> Result<(), SvgError> {
        let stops = |count: usize| pixels * (GRADIENT_NS + count as f64 * STOP_NS);
        match paint {
            Paint::Color(_) => self.spend(pixels * COLOR_NS),
            Paint::LinearGradient(gradient) => self.spend(stops(gradient.stops().len())),
            Paint::RadialGradient(gradient) => self.spend(stops(gradient.stops().len())),
            Paint::Pattern(pattern) => {
                self.spend(pixels * PATTERN_NS)?;
                self.pattern(pattern, transform, bounds)
            }
        }
    }
}

fn shape(path: &Path, transform: Transform, surface: Surface) -> Shape {
    let mut shape = Shape {
        segments: 0.0,
        rows: 0.0,
        columns: 0.0,
        length: 0.0,
        own_length: 0.0,
    };
    let mut start = Point::zero();
    let mut from = Point::zero();
    let mut go = |from: &mut Point, points: &[Point]| {
        // A curve is at most as long, and goes up and down at most as much, as its control points.
        for to in points {
            let (mut a, mut b) = (*from, *to);
            shape.own_length += distance(a, b);
            transform.map_point(&mut a);
            transform.map_point(&mut b);
            shape.length += distance(a, b);
            // What lies to the right of the surface is never followed; what lies to the left is, as an upright line.
            if f64::from(a.x.min(b.x)) <= surface.width {
                let down = |y: f32| f64::from(y).clamp(0.0, surface.height);
                let across = |x: f32| f64::from(x).clamp(0.0, surface.width);
                shape.rows += (down(a.y) - down(b.y)).abs();
                shape.columns += (across(a.x) - across(b.x)).abs();
            }
            *from = *to;
        }
        // A curve is drawn as several lines.
        shape.segments += if points.len() > 1 { 4.0 } else { 1.0 };
    };
    for segment in path.data().segments() {
        match segment {
            PathSegment::MoveTo(to) => {
                start = to;
                from = to;
            }
            PathSegment::LineTo(to) => go(&mut from, &[to]),
            PathSegment::QuadTo(a, to) => go(&mut from, &[a, to]),
            PathSegment::CubicTo(a, b, to) => go(&mut from, &[a, b, to]),
            PathSegment::Close => go(&mut from, &[start]),
        }
    }
    shape
}

fn distance(a: Point, b: Point) -> f64 {
    (f64::from(a.x) - f64::from(b.x)).hypot(f64::from(a.y) - f64::from(b.y))
}
