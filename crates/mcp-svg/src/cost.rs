//! What drawing a picture costs, estimated before it is drawn.
//!
//! Walks the renderer's tree as the renderer will, with sizes in place of pixels: surfaces for groups, masks, clip paths,
//! patterns and filters, the edges and the area of each path, dashes, decoded images. It stops where the sum is above the
//! limit. The figures are measured ones, rounded up; `bench/svg` shows what they are worth.

mod filters;
mod paths;

use resvg::{
    tiny_skia::{IntRect, Transform},
    usvg::{ClipPath, Group, Mask, Node, Pattern, Tree},
};

use crate::{Limits, SvgError};

/// Clearing a surface, and putting it onto another, nanoseconds a pixel.
const LAYER_NS: f64 = 16.0;
/// Making a mask of a surface and applying it.
const MASK_NS: f64 = 12.0;
/// Decoding an embedded image, and drawing it, nanoseconds a pixel.
const DECODED_NS: f64 = 25.0;
const IMAGE_NS: f64 = 60.0;
/// What a node costs however small it is.
const NODE_NS: f64 = 300.0;
const PIXEL_BYTES: f64 = 4.0;

/// What drawing needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    /// Time, nanoseconds.
    pub(crate) ns: f64,
    /// Surfaces at the same time, bytes.
    pub(crate) bytes: f64,
}

/// Estimates what drawing `tree` onto a canvas of this size costs; refuses what is above the limits. `spent_ns` is what
/// building the tree took.
pub(crate) fn estimate(
    tree: &Tree,
    transform: Transform,
    canvas: (u32, u32),
    spent_ns: u64,
    limits: &Limits,
) -> Result<Estimate, SvgError> {
    let mut meter = Meter {
        limits,
        ns: spent_ns as f64,
        held: 0.0,
        most_held: 0.0,
    };
    let surface = Surface::new(f64::from(canvas.0), f64::from(canvas.1));
    // As the renderer has it: layers are cut to five times the canvas.
    let (width, height) = (f64::from(canvas.0), f64::from(canvas.1));
    let bounds = Area {
        left: -2.0 * width,
        top: -2.0 * height,
        right: 3.0 * width,
        bottom: 3.0 * height,
    };
    meter.hold(surface.pixels() * PIXEL_BYTES)?;
    // The file that is made of it, and its compression.
    meter.spend(surface.pixels() * 40.0)?;
    meter.children(tree.root(), transform, surface, bounds)?;
    Ok(Estimate {
        ns: meter.ns,
        bytes: meter.most_held,
    })
}

/// A surface's size in pixels.
#[derive(Clone, Copy, Debug)]
struct Surface {
    width: f64,
    height: f64,
}

impl Surface {
    fn new(width: f64, height: f64) -> Surface {
        Surface { width, height }
    }

    fn pixels(self) -> f64 {
        self.width * self.height
    }
}

/// A rectangle in pixels, of `f64` so that nothing overflows.
#[derive(Clone, Copy, Debug)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    const NONE: Area = Area {
        left: 0.0,
        top: 0.0,
        right: 0.0,
        bottom: 0.0,
    };

    /// The largest of its coordinates, whatever the sign.
    fn farthest(self) -> f64 {
        [self.left, self.top, self.right, self.bottom]
            .iter()
            .fold(0.0, |most, side| side.abs().max(most))
    }

    fn of(rect: resvg::tiny_skia::Rect) -> Area {
        Area {
            left: rect.left().into(),
            top: rect.top().into(),
            right: rect.right().into(),
            bottom: rect.bottom().into(),
        }
    }

    fn grown(self, by: f64) -> Area {
        Area {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }

    fn cut_to(self, other: Area) -> Area {
        Area {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    fn on(self, surface: Surface) -> Area {
        self.cut_to(Area {
            left: 0.0,
            top: 0.0,
            right: surface.width,
            bottom: surface.height,
        })
    }

    fn width(self) -> f64 {
        (self.right - self.left).max(0.0)
    }

    fn height(self) -> f64 {
        (self.bottom - self.top).max(0.0)
    }

    fn pixels(self) -> f64 {
        self.width() * self.height()
    }

    /// The area that a transform makes of this one.
    fn transformed(self, by: Transform) -> Option<Area> {
        let rect = resvg::tiny_skia::Rect::from_ltrb(
            self.left as f32,
            self.top as f32,
            self.right as f32,
            self.bottom as f32,
        )?;
        rect.transform(by).map(Area::of)
    }
}

/// Adds up, and stops at the limits.
struct Meter<'a> {
    limits: &'a Limits,
    ns: f64,
    held: f64,
    most_held: f64,
}

impl Meter<'_> {
    fn spend(&mut self, ns: f64) -> Result<(), SvgError> {
        self.ns += ns;
        let us = self.ns / 1_000.0;
        // Not a number is too much as well.
        if us <= self.limits.work_us as f64 {
            return Ok(());
        }
        Err(SvgError::OverBudget {
            what: "the time to draw it, in microseconds,".to_owned(),
            cost: us as u64,
            limit: self.limits.work_us,
        })
    }

    fn hold(&mut self, bytes: f64) -> Result<(), SvgError> {
        self.held += bytes;
        self.most_held = self.most_held.max(self.held);
        if self.held <= self.limits.surface_bytes as f64 {
            return Ok(());
        }
        Err(SvgError::OverBudget {
            what: "the memory for surfaces to draw on, in bytes,".to_owned(),
            cost: self.held as u64,
            limit: self.limits.surface_bytes,
        })
    }

    fn release(&mut self, bytes: f64) {
        self.held -= bytes;
    }

    /// A number in the file that the renderer cannot compute with.
    fn sane(&self, what: &str, number: f64, limit: f64) -> Result<(), SvgError> {
        if number.abs() <= limit {
            return Ok(());
        }
        Err(SvgError::OverBudget {
            what: what.to_owned(),
            cost: number.abs() as u64,
            limit: limit as u64,
        })
    }

    fn children(
        &mut self,
        group: &Group,
        transform: Transform,
        surface: Surface,
        bounds: Area,
    ) -> Result<(), SvgError> {
        for node in group.children() {
            self.spend(NODE_NS)?;
            match node {
                Node::Group(group) => self.group(group, transform, surface, bounds)?,
                Node::Text(text) => self.group(text.flattened(), transform, surface, bounds)?,
                Node::Path(path) => self.path(path, transform, surface, bounds)?,
                Node::Image(image) => {
                    let pixels = f64::from(image.size().width()) * f64::from(image.size().height());
                    // The decoder's own buffers come on top of the pixels.
                    let bytes = pixels * PIXEL_BYTES * 3.0;
                    self.hold(bytes)?;
                    self.release(bytes);
                    let drawn = image
                        .size()
                        .to_rect(0.0, 0.0)
                        .and_then(|rect| rect.transform(transform))
                        .map_or(0.0, |rect| Area::of(rect).on(surface).pixels());
                    self.spend(pixels * DECODED_NS + drawn * IMAGE_NS)?;
                }
            }
        }
        Ok(())
    }

    fn group(
        &mut self,
        group: &Group,
        transform: Transform,
        surface: Surface,
        bounds: Area,
    ) -> Result<(), SvgError> {
        let transform = transform.pre_concat(group.transform());
        if !group.should_isolate() {
            return self.children(group, transform, surface, bounds);
        }
        // With filters the renderer draws without rotation, and turns the result.
        let rest = if group.filters().is_empty() {
            Transform::identity()
        } else {
            without_scale(transform)
        };
        let Some(back) = rest.invert() else {
            return Ok(());
        };
        let Some(bounds) = bounds.transformed(back) else {
            return Ok(());
        };
        let upright = back.pre_concat(transform);
        let Some(layer) = group.layer_bounding_box().transform(upright) else {
            return Ok(());
        };
        let layer = Area::of(layer.to_rect())
            .grown(3.0)
            .cut_to(bounds.grown(1.0));
        let own = Surface::new(layer.width(), layer.height());
        let inside =
            Transform::from_translate(-layer.left as f32, -layer.top as f32).pre_concat(upright);
        let bytes = own.pixels() * PIXEL_BYTES;
        self.hold(bytes)?;
        self.spend(own.pixels() * LAYER_NS)?;
        self.children(group, inside, own, bounds)?;
        for filter in group.filters() {
            self.filter(filter, inside, own)?;
        }
        if let Some(clip) = group.clip_path() {
            self.clip(clip, inside, own)?;
        }
        if let Some(mask) = group.mask() {
            self.mask(mask, inside, own, bounds)?;
        }
        self.release(bytes);
        Ok(())
    }

    fn clip(
        &mut self,
        clip: &ClipPath,
        transform: Transform,
        surface: Surface,
    ) -> Result<(), SvgError> {
        let bytes = surface.pixels() * (PIXEL_BYTES + 1.0);
        self.hold(bytes)?;
        self.spend(surface.pixels() * MASK_NS)?;
        self.clip_children(clip.root(), transform.pre_concat(clip.transform()), surface)?;
        if let Some(clip) = clip.clip_path() {
            self.clip(clip, transform, surface)?;
        }
        self.release(bytes);
        Ok(())
    }

    fn clip_children(
        &mut self,
        group: &Group,
        transform: Transform,
        surface: Surface,
    ) -> Result<(), SvgError> {
        for node in group.children() {
            self.spend(NODE_NS)?;
            match node {
                Node::Path(path) => self.fill(path, transform, surface, None)?,
                Node::Text(text) => self.clip_children(text.flattened(), transform, surface)?,
                Node::Group(group) => {
                    let transform = transform.pre_concat(group.transform());
                    let Some(clip) = group.clip_path() else {
                        self.clip_children(group, transform, surface)?;
                        continue;
                    };
                    let bytes = surface.pixels() * PIXEL_BYTES;
                    self.hold(bytes)?;
                    self.spend(surface.pixels() * LAYER_NS)?;
                    self.clip_children(group, transform, surface)?;
                    self.clip(clip, transform, surface)?;
                    self.release(bytes);
                }
                Node::Image(_) => {}
            }
        }
        Ok(())
    }

    fn mask(
        &mut self,
        mask: &Mask,
        transform: Transform,
        surface: Surface,
        bounds: Area,
    ) -> Result<(), SvgError> {
        let bytes = surface.pixels() * (PIXEL_BYTES + 2.0);
        self.hold(bytes)?;
        self.spend(surface.pixels() * 2.0 * MASK_NS)?;
        self.children(mask.root(), transform, surface, bounds)?;
        if let Some(mask) = mask.mask() {
            self.mask(mask, transform, surface, bounds)?;
        }
        self.release(bytes);
        Ok(())
    }

    /// A pattern is drawn onto a surface of its own each time something is painted with it.
    fn pattern(
        &mut self,
        pattern: &Pattern,
        transform: Transform,
        bounds: Area,
    ) -> Result<(), SvgError> {
        let (sx, sy) = transform.pre_concat(pattern.transform()).get_scale();
        let rect = pattern.rect();
        let surface = Surface::new(
            (f64::from(rect.width()) * f64::from(sx)).round(),
            (f64::from(rect.height()) * f64::from(sy)).round(),
        );
        let bytes = surface.pixels() * PIXEL_BYTES;
        self.hold(bytes)?;
        self.spend(surface.pixels() * LAYER_NS)?;
        self.children(
            pattern.root(),
            Transform::from_scale(sx, sy),
            surface,
            bounds,
        )?;
        self.release(bytes);
        Ok(())
    }
}

/// The rotation and skew in a transform, as the renderer takes them apart.
fn without_scale(ts: Transform) -> Transform {
    let sx = ts.sx.hypot(ts.ky);
    let sy = ts.kx.hypot(ts.sy);
    Transform::from_row(ts.sx / sx, ts.ky / sx, ts.kx / sy, ts.sy / sy, 0.0, 0.0)
}

/// The canvas of a preview: the picture's proportions, with the longer side as given.
pub(crate) fn canvas(width: f32, height: f32, side: u32) -> Option<(IntRect, f32)> {
    let scale = side as f32 / width.max(height);
    let pixels = |length: f32| ((length * scale).round() as u32).clamp(1, side);
    let rect = IntRect::from_xywh(0, 0, pixels(width), pixels(height))?;
    scale.is_finite().then_some((rect, scale))
}
