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
/// The outline of a segment has so many edges: two sides, a join and a cap.
const EDGES_OF_A_STROKE: f64 = 12.0;

/// What a path looks like on a surface.
struct Shape {
    segments: f64,
    /// All its ups and downs that lie on the surface, pixels.
    rows: f64,
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
        let Some(covered) = path.data().bounds().transform(transform).map(Area::of) else {
            return Ok(());
        };
        self.edges(shape.segments, shape.rows, covered.on(surface).height())?;
        let pixels = covered.on(surface).pixels();
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
        let Some(covered) = path.data().bounds().to_rect_or_point(transform) else {
            return Ok(());
        };
        // Pointed joins reach beyond half the width.
        let reach = width * f64::from(stroke.miterlimit().get()).max(1.0);
        let covered = covered.grown(reach).on(surface);
        let pieces = shape.segments + self.dashes(stroke, &shape)?;
        self.spend(pieces * OUTLINE_NS)?;
        let rows = (2.0 * shape.rows + 2.0 * pieces * width.min(surface.height))
            .min(pieces * EDGES_OF_A_STROKE * surface.height);
        self.edges(pieces * EDGES_OF_A_STROKE, rows, covered.height())?;
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

    /// Following `rows` of edges, of which some lie side by side and cross.
    fn edges(&mut self, edges: f64, rows: f64, height: f64) -> Result<(), SvgError> {
        let side_by_side = rows / height.max(1.0);
        let crossings = edges.min(rows) * side_by_side;
        self.spend(edges * EDGE_NS + rows * 4.0 * ROW_NS + crossings)
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
            let on_surface = |y: f32| f64::from(y).clamp(0.0, surface.height);
            shape.rows += (on_surface(a.y) - on_surface(b.y)).abs();
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

/// Lines may have bounds without an area.
trait ToArea {
    fn to_rect_or_point(&self, transform: Transform) -> Option<Area>;
}

impl ToArea for resvg::tiny_skia::Rect {
    fn to_rect_or_point(&self, transform: Transform) -> Option<Area> {
        self.transform(transform).map(Area::of)
    }
}
