//! Filters: each primitive goes over the whole region, and all results are kept to the end.

use resvg::{
    tiny_skia::Transform,
    usvg::filter::{Filter, Kind, Primitive},
};

use super::{Area, Meter, PIXEL_BYTES, Surface};
use crate::SvgError;

/// Whatever a primitive does, it copies its inputs and changes their colour space, nanoseconds a pixel.
const PRIMITIVE_NS: f64 = 40.0;
/// Beyond these the renderer's whole numbers overflow.
const FARTHEST_SHIFT: f64 = 1e6;
const FARTHEST_NOISE: f64 = 1e8;

impl Meter<'_> {
    pub(super) fn filter(
        &mut self,
        filter: &Filter,
        transform: Transform,
        surface: Surface,
    ) -> Result<(), SvgError> {
        let Some(rect) = filter.rect().transform(transform) else {
            return Ok(());
        };
        let region = Area::of(rect.to_rect()).grown(1.0).on(surface);
        let pixels = region.pixels();
        let kept = filter.primitives().len() as f64 + 4.0;
        // A blur computes in numbers of eight bytes.
        let bytes = pixels * (kept * PIXEL_BYTES + 8.0);
        self.hold(bytes)?;
        for primitive in filter.primitives() {
            let ns = self.primitive_ns(primitive, filter, transform, region)?;
            self.spend(pixels * (PRIMITIVE_NS + ns))?;
        }
        self.release(bytes);
        Ok(())
    }

    /// Nanoseconds a pixel.
    fn primitive_ns(
        &mut self,
        primitive: &Primitive,
        filter: &Filter,
        transform: Transform,
        region: Area,
    ) -> Result<f64, SvgError> {
        let (sx, sy) = transform.get_scale();
        let (sx, sy) = (f64::from(sx), f64::from(sy));
        let ns = match primitive.kind() {
            Kind::Flood(_) => 5.0,
            Kind::Offset(fe) => {
                self.shift(f64::from(fe.dx()) * sx, f64::from(fe.dy()) * sy)?;
                15.0
            }
            Kind::GaussianBlur(fe) => {
                self.shift(
                    f64::from(fe.std_dev_x().get()) * sx,
                    f64::from(fe.std_dev_y().get()) * sy,
                )?;
                200.0
            }
            Kind::DropShadow(fe) => {
                self.shift(f64::from(fe.dx()) * sx, f64::from(fe.dy()) * sy)?;
                self.shift(
                    f64::from(fe.std_dev_x().get()) * sx,
                    f64::from(fe.std_dev_y().get()) * sy,
                )?;
                260.0
            }
            Kind::Merge(fe) => 30.0 * fe.inputs().len() as f64,
            Kind::Blend(_) | Kind::Composite(_) => 60.0,
            Kind::ColorMatrix(_) | Kind::ComponentTransfer(_) => 40.0,
            Kind::Tile(_) => 90.0,
            Kind::DisplacementMap(fe) => {
                self.shift(f64::from(fe.scale()) * sx, f64::from(fe.scale()) * sy)?;
                60.0
            }
            Kind::DiffuseLighting(_) | Kind::SpecularLighting(_) => 120.0,
            Kind::ConvolveMatrix(fe) => {
                let matrix = fe.matrix();
                8.0 * f64::from(matrix.columns()) * f64::from(matrix.rows())
            }
            Kind::Morphology(fe) => {
                let reach = |radius: f32, scale: f64, side: f64| {
                    (2.0 * f64::from(radius) * scale + 2.0).min(2.0 * side + 1.0)
                };
                let across = reach(fe.radius_x().get(), sx, region.width());
                let down = reach(fe.radius_y().get(), sy, region.height());
                4.0 * across * down
            }
            Kind::Turbulence(fe) => {
                let rect = Area::of(filter.rect().to_rect());
                let farthest = [rect.left, rect.top, rect.right, rect.bottom]
                    .iter()
                    .fold(1.0_f64, |most, side| most.max(side.abs()));
                let frequency =
                    f64::from(fe.base_frequency_x().get().max(fe.base_frequency_y().get()));
                let octaves = f64::from(fe.num_octaves());
                let reach = farthest * frequency.max(1.0) * octaves.min(100.0).exp2();
                self.sane("the reach of a turbulence", reach, FARTHEST_NOISE)?;
                200.0 * octaves
            }
            // The allowlist has no feImage.
            Kind::Image(_) => f64::INFINITY,
        };
        Ok(ns)
    }

    fn shift(&self, dx: f64, dy: f64) -> Result<(), SvgError> {
        self.sane(
            "the reach of a filter, in pixels,",
            dx.abs().max(dy.abs()),
            FARTHEST_SHIFT,
        )
    }
}
