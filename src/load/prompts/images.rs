//! Prompts with images that are made here: noise, which no encoder makes short work of.

use super::lengths::Lengths;
use super::{Content, Conversation, Prompt, Vocabulary};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use serde_json::json;

/// `--dataset-name random-mm`: random text, and images of a few sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct WithImages {
    pub inputs: Lengths,
    pub outputs: Lengths,
    pub images: Lengths,
    /// No prompt has more.
    pub most: usize,
    /// Height, width, and how likely an image is of that size.
    pub sizes: Vec<([u32; 2], f64)>,
}

pub fn prompts(
    asked: &WithImages,
    vocabulary: &Vocabulary,
    seed: u64,
) -> impl Iterator<Item = Conversation> + Send + use<> {
    let (asked, vocabulary) = (asked.clone(), vocabulary.clone());
    let mut random = StdRng::seed_from_u64(seed);
    std::iter::repeat_with(move || {
        let ids = vocabulary.random(asked.inputs.draw(&mut random), &mut random);
        let text = vocabulary.text_of(&ids, &mut random).map_or_else(|| super::words::of(&ids), |(text, _)| text);
        let mut parts = vec![json!({"type": "text", "text": text})];
        for _ in 0..asked.images.draw(&mut random).min(asked.most) {
            let size = drawn(&asked.sizes, &mut random);
            parts.push(json!({"type": "image_url", "image_url": {"url": data_url(size, &mut random)}}));
        }
        let content = Content::Messages(vec![json!({"role": "user", "content": parts})]);
        // Only the server knows what an image comes to.
        Prompt { content, output_len: asked.outputs.draw(&mut random), ..Prompt::default() }.into()
    })
}

fn drawn(sizes: &[([u32; 2], f64)], random: &mut StdRng) -> [u32; 2] {
    let all: f64 = sizes.iter().map(|(_, weight)| weight).sum();
    let mut left = random.random_range(0.0..all.max(f64::MIN_POSITIVE));
    for (size, weight) in sizes {
        left -= weight;
        if left < 0.0 {
            return *size;
        }
    }
    sizes.last().map_or([256, 256], |(size, _)| *size)
}

fn data_url([height, width]: [u32; 2], random: &mut StdRng) -> String {
    let mut pixels = vec![0; 3 * height as usize * width as usize];
    random.fill_bytes(&mut pixels);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    // Writing into memory does not fail.
    drop(written);
    format!("data:image/png;base64,{}", STANDARD.encode(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_the_sizes_that_are_asked_for() {
        let asked = WithImages {
            inputs: Lengths::Fixed(5),
            outputs: Lengths::Fixed(3),
            images: Lengths::Fixed(2),
            most: 2,
            sizes: vec![([8, 16], 0.5), ([4, 4], 0.5)],
        };
        let mut seen = std::collections::BTreeSet::new();
        for conversation in prompts(&asked, &Vocabulary::default(), 1).take(20) {
            let Content::Messages(messages) = &conversation.turns[0].content else { panic!() };
            let parts = messages[0]["content"].as_array().unwrap();
            assert_eq!(parts.len(), 3);
            for part in &parts[1..] {
                let url = part["image_url"]["url"].as_str().unwrap();
                let file = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
                let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
                seen.insert((reader.info().height, reader.info().width));
            }
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(4, 4), (8, 16)]);
    }
}
