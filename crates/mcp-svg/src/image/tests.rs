use super::*;

/// A PNG of one grey pixel, as small as one gets.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";

#[test]
fn a_png_passes_and_is_written_in_one_way() {
    let url = format!("data:image/png;base64,{PNG}");
    let image = embedded(&url, 1000).expect("it is a PNG");
    assert_eq!(
        image,
        Embedded {
            url: url.clone(),
            pixels: 1
        }
    );
    let spaced = format!(
        " DATA:image/PNG;charset=utf-8;base64,{}\n {}",
        &PNG[..9],
        &PNG[9..]
    );
    assert_eq!(embedded(&spaced, 1000), Ok(image));
}

#[test]
fn what_a_png_carries_besides_the_picture_goes() {
    let bytes = BASE64.decode(PNG).expect("base64");
    let mut with_text = bytes[..33].to_vec();
    with_text.extend_from_slice(b"\0\0\0\x04tEXtevil\0\0\0\0");
    with_text.extend_from_slice(&bytes[33..]);
    with_text.extend_from_slice(b"<script>behind the end</script>");
    assert_eq!(png::essential(&with_text), Some(bytes));
}

#[test]
fn sizes_are_read_from_headers() {
    let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08\x01\x02\x03\x04\x01\x01\x11\0\xff\xda\0\x02abc\xff\0\xff\xd9";
    assert_eq!(jpeg::size(jpeg), Some((0x304, 0x102)));
    let gif = b"GIF89a\x02\0\x01\0\x80\0\0aaabbb\x21\xf9\x04abcd\0\x2c\0\0\0\0\x05\0\x01\0\0";
    assert_eq!(gif::size(gif), Some((5, 1)));
    let lossless = b"RIFF....WEBPVP8L\x05\0\0\0\x2f\x01\x40\0\0\0";
    assert_eq!(webp::size(lossless), Some((2, 2)));
    let lossy = b"RIFF....WEBPVP8 \x0a\0\0\0abc\x9d\x01\x2a\x03\0\x04\0";
    assert_eq!(webp::size(lossy), Some((3, 4)));
}

#[test]
fn two_frames_are_none() {
    let frame = b"\xff\xc0\0\x0b\x08\0\x02\0\x02\x01\x01\x11\0";
    let jpeg = [
        b"\xff\xd8".as_slice(),
        frame,
        b"\xff\xda\0\x02aa",
        frame,
        b"\xff\xd9",
    ]
    .concat();
    assert_eq!(jpeg::size(&jpeg), None);
}

#[test]
fn more_scans_than_any_encoder_writes_are_none() {
    let of_scans = |count: usize| {
        let scans = b"\xff\xda\0\x02a".repeat(count);
        let frame = b"\xff\xd8\xff\xc2\0\x0b\x08\0\x02\0\x02\x01\x01\x11\0";
        [frame.as_slice(), &scans, b"\xff\xd9"].concat()
    };
    assert_eq!(jpeg::size(&of_scans(64)), Some((2, 2)));
    assert_eq!(jpeg::size(&of_scans(65)), None);
}

#[test]
fn the_bytes_must_be_what_the_type_says() {
    let says = |media_type: &str| embedded(&format!("data:{media_type};base64,{PNG}"), 1000);
    assert_eq!(says("image/jpeg"), Err(Refusal::Mismatch));
    assert_eq!(says("image/svg+xml"), Err(Refusal::NotEmbedded));
    assert_eq!(says("text/html"), Err(Refusal::NotEmbedded));
    let plain = "data:image/png,%89PNG";
    assert_eq!(embedded(plain, 1000), Err(Refusal::NotEmbedded));
    let url = format!("data:image/png;base64,{PNG}");
    assert_eq!(embedded(&url, 10), Err(Refusal::TooLarge));
    assert_eq!(
        embedded("da\tta:image/png;base64,AA", 10),
        Err(Refusal::NotEmbedded)
    );
}

#[test]
fn cut_bytes_never_panic() {
    let files: [&[u8]; 3] = [
        b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08\x01\x02\x03\x04",
        b"GIF89a\x02\0\x01\0\xf7\0\0aaabbb\x21\xf9\x04abcd\0\x2c\0\0",
        b"RIFF....WEBPVP8X\x0a\0\0\0\0\0\0\0\x01\0\0\x01\0\0VP8L\x05\0\0\0\x2f\x01",
    ];
    for file in files {
        for end in 0..=file.len() {
            for format in [Format::Png, Format::Jpeg, Format::Gif, Format::Webp] {
                let _ = format.pixels(&file[..end]);
            }
        }
    }
}
