//! The flags of data sets, and the data set that they mean.

use super::values::ratios;
use crate::cli::Failure;
use crate::load::prompts::{
    Arrivals, Columns, Dataset, Lengths, Order, Prefixes, RandomPrompts, Rerank, TextFile, TextsAre, Trace, Turns,
    Vocabulary, Warm, WhenOver, WithImages,
};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(next_help_heading = "Data set")]
pub struct Data {
    /// Data set to take prompts from.
    #[arg(long, value_name = "NAME", value_enum, default_value = "random")]
    pub dataset_name: DatasetName,
    /// File or folder of the data set. Nothing is downloaded.
    #[arg(long, value_name = "PATH")]
    pub dataset_path: Option<PathBuf>,
    /// The model's tokenizer.json, or the folder that it is in. Without it, prompts are made of token IDs or common words. A name that is no
    /// file is only recorded in the result.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<String>,
    /// Size of the model's vocabulary, for random token IDs without a tokenizer.
    #[arg(long, value_name = "N", conflicts_with = "tokenizer", value_parser = clap::value_parser!(u32).range(1..))]
    pub vocab_size: Option<u32>,
    /// Length of the prompts, for every data set that takes one.
    #[arg(long, value_name = "TOKENS")]
    pub input_len: Option<usize>,
    /// Length of the responses, likewise.
    #[arg(long, value_name = "TOKENS")]
    pub output_len: Option<usize>,
    /// Distribution of prompt lengths (random): N, uniform:LOW,HIGH, normal:MEAN,STD, lognormal:MEAN,STD or zipf:MOST,EXPONENT.
    #[arg(long, value_name = "DISTRIBUTION", value_parser = Lengths::parse)]
    pub input_len_dist: Option<Lengths>,
    /// Distribution of response lengths, likewise (random).
    #[arg(long, value_name = "DISTRIBUTION", value_parser = Lengths::parse)]
    pub output_len_dist: Option<Lengths>,
    /// Length of the prompts (random).
    #[arg(long, value_name = "TOKENS", default_value_t = 1024)]
    pub random_input_len: usize,
    /// Length of the responses (random).
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub random_output_len: usize,
    /// Draw lengths uniformly from len·(1 ± ratio) (random); one ratio, or {"input": …, "output": …}.
    #[arg(long, visible_alias = "range-ratio", value_name = "RATIO", default_value = "0.0", value_parser = ratios)]
    pub random_range_ratio: (f64, f64),
    /// Number of tokens in the prefix that all prompts share (random).
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    pub random_prefix_len: usize,
    /// Share of the prompts whose beginning is the same (random).
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub random_cache_hit_fraction: f64,
    /// How much of such a prompt is the same (random).
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub random_cache_ratio: f64,
    /// Documents of each query (random-rerank).
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub random_batch_size: usize,
    /// Length of each prefix (prefix_repetition).
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub prefix_repetition_prefix_len: usize,
    /// Length of what follows it (prefix_repetition).
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub prefix_repetition_suffix_len: usize,
    /// Number of different prefixes (prefix_repetition).
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub prefix_repetition_num_prefixes: usize,
    /// Length of the responses (prefix_repetition).
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub prefix_repetition_output_len: usize,
    /// Hold conversations of several turns, each with the ones before as context.
    #[arg(long)]
    pub multi_turn: bool,
    /// Number of turns (multi-turn).
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub multi_turn_num_turns: usize,
    /// Fewest turns, with --multi-turn-max-turns instead of a fixed number (multi-turn).
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub multi_turn_min_turns: usize,
    /// Most turns (multi-turn).
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub multi_turn_max_turns: usize,
    /// Milliseconds that a user thinks before the next turn (multi-turn).
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub multi_turn_delay_ms: u64,
    /// Share of the first message that is the same in all conversations (multi-turn).
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub multi_turn_prefix_global_ratio: f64,
    /// Length of later messages (multi-turn); 0: as the first.
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    pub per_turn_input_len: usize,
    /// Length of the responses (sharegpt); default: that of the recorded ones.
    #[arg(long, value_name = "TOKENS")]
    pub sharegpt_output_len: Option<usize>,
    /// Length of the responses (custom); -1: `output_tokens` of each row.
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub custom_output_len: i64,
    /// Length of the responses (spec_bench).
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub spec_bench_output_len: usize,
    /// Only prompts of this category (spec_bench).
    #[arg(long, value_name = "NAME")]
    pub spec_bench_category: Option<String>,
    /// Length of the prompts (sonnet).
    #[arg(long, value_name = "TOKENS", default_value_t = 550)]
    pub sonnet_input_len: usize,
    /// Length of the responses (sonnet).
    #[arg(long, value_name = "TOKENS", default_value_t = 150)]
    pub sonnet_output_len: usize,
    /// Length of what all prompts share (sonnet).
    #[arg(long, value_name = "TOKENS", default_value_t = 200)]
    pub sonnet_prefix_len: usize,
    /// Length of the responses (hf); default: 128.
    #[arg(long, value_name = "TOKENS")]
    pub hf_output_len: Option<usize>,
    /// Only files whose path in the folder contains this (hf).
    #[arg(long, value_name = "NAME")]
    pub hf_split: Option<String>,
    /// Column with the text or the messages (hf, custom).
    #[arg(long, value_name = "COLUMN")]
    pub hf_text_column: Option<String>,
    /// Send by --request-rate instead of the trace's own times (timed_trace).
    #[arg(long)]
    pub no_self_timed: bool,
    /// Send at the trace's own times (the default) (timed_trace).
    #[arg(long, conflicts_with = "no_self_timed")]
    pub self_timed: bool,
    /// Tokens that one of the hash IDs stands for (timed_trace).
    #[arg(long, value_name = "TOKENS", default_value_t = 16)]
    pub timed_trace_chunk_hash_size: usize,
    /// Seconds in one unit of its timestamps (0.001 for milliseconds) (timed_trace).
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = crate::cli::positive_number)]
    pub timed_trace_sec_multiplier: f64,
    /// Column of the timestamps (timed_trace).
    #[arg(long, value_name = "COLUMN", default_value = "timestamp")]
    pub timed_trace_label_timestamp: String,
    /// Column of the lengths of prompts (timed_trace).
    #[arg(long, value_name = "COLUMN", default_value = "input_length")]
    pub timed_trace_label_input_length: String,
    /// Column of the lengths of responses (timed_trace).
    #[arg(long, value_name = "COLUMN", default_value = "output_length")]
    pub timed_trace_label_output_length: String,
    /// Column of the hash IDs (timed_trace).
    #[arg(long, value_name = "COLUMN", default_value = "hash_ids")]
    pub timed_trace_label_hash_ids: String,
    /// Images of each prompt (random-mm).
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub random_mm_base_items_per_request: usize,
    /// Draw their number uniformly from N·(1 ± ratio) (random-mm).
    #[arg(long, value_name = "RATIO", default_value_t = 0.0)]
    pub random_mm_num_mm_items_range_ratio: f64,
    /// Most images of a prompt, as {"image" (random-mm): N}.
    #[arg(long, value_name = "JSON", default_value = "{\"image\": 255, \"video\": 1}")]
    pub random_mm_limit_mm_per_prompt: String,
    /// Sizes of images and their shares (random-mm): "{(256, 256, 1): 0.5, (720, 1280, 1): 0.5}".
    #[arg(long, value_name = "SIZES", default_value = "{(256, 256, 1): 0.5, (720, 1280, 1): 0.5}")]
    pub random_mm_bucket_config: String,
    /// Leave out prompts that exceed this with their responses; needs a tokenizer.
    #[arg(long, value_name = "TOKENS")]
    pub max_model_len: Option<usize>,
    /// Stop when the data set is used up, instead of starting over.
    #[arg(long)]
    pub no_oversample: bool,
    /// Take the rows of a file in their order.
    #[arg(long)]
    pub disable_shuffle: bool,
    /// Seed of the prompts and arrival times.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DatasetName {
    /// Random tokens.
    Random,
    /// Random text with images that are made here.
    RandomMm,
    /// Queries with documents to rank.
    RandomRerank,
    /// ShareGPT's conversations, their first two turns.
    Sharegpt,
    /// Lines of a poem.
    Sonnet,
    /// JSON Lines with a `prompt`.
    Custom,
    /// Random tokens behind one of a few prefixes.
    #[value(name = "prefix_repetition")]
    PrefixRepetition,
    /// A data set of Hugging Face that is on disk: Parquet, JSON Lines or CSV.
    Hf,
    /// Spec-Bench's questions.
    #[value(name = "spec_bench")]
    SpecBench,
    /// BurstGPT's trace, at the rate that is asked for.
    Burstgpt,
    /// A trace with timestamps: Mooncake's, Azure's.
    #[value(name = "timed_trace")]
    TimedTrace,
}

/// Answers of an `hf` data set.
const HF_OUTPUT: usize = 128;

impl Data {
    /// What is known of the model's tokens.
    pub fn vocabulary(&self) -> Result<Vocabulary, Failure> {
        match (&self.tokenizer, self.vocab_size) {
            (Some(path), _) if Path::new(path).exists() => Vocabulary::of_tokenizer(Path::new(path))
                .map_err(|error| Failure::input(format!("--tokenizer: {error}"))),
            (_, Some(size)) => Ok(Vocabulary::of_size(size)),
            _ => Ok(Vocabulary::default()),
        }
    }

    pub fn dataset(&self) -> Result<Dataset, Failure> {
        for (flag, ratio) in
            [("--random-range-ratio", self.random_range_ratio.0), ("--random-range-ratio", self.random_range_ratio.1)]
        {
            if !(0.0..1.0).contains(&ratio) {
                return Err(Failure::input(format!("{flag}: {ratio} is not in [0, 1)")));
            }
        }
        if self.multi_turn {
            return Ok(Dataset::Turns(self.turns()));
        }
        Ok(match self.dataset_name {
            DatasetName::Random => Dataset::Random(self.random()),
            DatasetName::RandomMm => Dataset::Images(self.images()?),
            DatasetName::RandomRerank => {
                Dataset::Rerank(Rerank { inputs: self.random().inputs, documents: self.random_batch_size.max(1) })
            }
            DatasetName::PrefixRepetition => Dataset::Prefixes(Prefixes {
                prefix_len: self.prefix_repetition_prefix_len,
                suffix_len: self.input_len.unwrap_or(self.prefix_repetition_suffix_len),
                num_prefixes: self.prefix_repetition_num_prefixes,
                output_len: self.output_len.unwrap_or(self.prefix_repetition_output_len),
            }),
            DatasetName::Burstgpt | DatasetName::TimedTrace => Dataset::Trace(self.trace()?),
            _ => Dataset::Texts(self.texts()?),
        })
    }

    fn random(&self) -> RandomPrompts {
        let (input, output) =
            (self.input_len.unwrap_or(self.random_input_len), self.output_len.unwrap_or(self.random_output_len));
        let (input_ratio, output_ratio) = self.random_range_ratio;
        RandomPrompts {
            inputs: self.input_len_dist.unwrap_or(Lengths::around(input, input_ratio)),
            outputs: self.output_len_dist.unwrap_or(Lengths::around(output, output_ratio)),
            prefix_len: self.random_prefix_len,
            warm: (self.random_cache_hit_fraction > 0.0)
                .then_some(Warm { fraction: self.random_cache_hit_fraction, ratio: self.random_cache_ratio }),
        }
    }

    fn turns(&self) -> Turns {
        let most = self.multi_turn_max_turns;
        Turns {
            first: self.random(),
            per_turn_len: self.per_turn_input_len,
            turns: match most {
                0 => Lengths::Fixed(self.multi_turn_num_turns.max(1)),
                most => Lengths::Uniform(self.multi_turn_min_turns.clamp(1, most), most),
            },
            think_ms: self.multi_turn_delay_ms,
            shared_ratio: self.multi_turn_prefix_global_ratio,
        }
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        let name = self.dataset_name.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let path = self.dataset_path.clone().ok_or_else(|| {
            Failure::input(format!("--dataset-name {name} needs --dataset-path; nothing is downloaded"))
        })?;
        match path.exists() {
            true => Ok(path),
            false => Err(Failure::input(format!("--dataset-path: {}: no such file or folder", path.display()))),
        }
    }

    fn texts(&self) -> Result<TextFile, Failure> {
        let (texts_are, output_len) = match self.dataset_name {
            DatasetName::Sharegpt => (TextsAre::Sharegpt, self.sharegpt_output_len),
            DatasetName::SpecBench => (TextsAre::SpecBench, Some(self.spec_bench_output_len)),
            DatasetName::Sonnet => {
                let input_len = self.input_len.unwrap_or(self.sonnet_input_len);
                let prefix_len = self.sonnet_prefix_len;
                (TextsAre::Sonnet { input_len, prefix_len }, Some(self.sonnet_output_len))
            }
            DatasetName::Custom => (TextsAre::Custom, usize::try_from(self.custom_output_len).ok()),
            _ => (TextsAre::Hf, Some(self.hf_output_len.unwrap_or(HF_OUTPUT))),
        };
        Ok(TextFile {
            path: self.path()?,
            texts_are,
            output_len: self.output_len.or(output_len),
            order: if self.disable_shuffle { Order::AsStored } else { Order::Shuffled },
            when_over: self.when_over(),
            category: self.spec_bench_category.clone().filter(|_| texts_are == TextsAre::SpecBench),
            column: self.hf_text_column.clone(),
            split: self.hf_split.clone().filter(|_| texts_are == TextsAre::Hf),
            max_model_len: self.max_model_len,
        })
    }

    fn when_over(&self) -> WhenOver {
        if self.no_oversample { WhenOver::Stop } else { WhenOver::Repeat }
    }

    fn trace(&self) -> Result<Trace, Failure> {
        let is_by_rate = self.no_self_timed || self.dataset_name == DatasetName::Burstgpt && !self.self_timed;
        Ok(Trace {
            path: self.path()?,
            columns: Columns {
                timestamp: self.timed_trace_label_timestamp.clone(),
                input: self.timed_trace_label_input_length.clone(),
                output: self.timed_trace_label_output_length.clone(),
                hashes: self.timed_trace_label_hash_ids.clone(),
            },
            unit_s: self.timed_trace_sec_multiplier,
            block: self.timed_trace_chunk_hash_size,
            arrivals: if is_by_rate { Arrivals::ByRate } else { Arrivals::AsTraced },
            when_over: self.when_over(),
        })
    }

    fn images(&self) -> Result<WithImages, Failure> {
        let random = self.random();
        let limit = serde_json::from_str::<serde_json::Value>(&self.random_mm_limit_mm_per_prompt)
            .map_err(|error| Failure::input(format!("--random-mm-limit-mm-per-prompt: not valid JSON: {error}")))?;
        let sizes = sizes(&self.random_mm_bucket_config)
            .map_err(|reason| Failure::input(format!("--random-mm-bucket-config: {reason}")))?;
        Ok(WithImages {
            inputs: random.inputs,
            outputs: random.outputs,
            images: Lengths::around(self.random_mm_base_items_per_request, self.random_mm_num_mm_items_range_ratio),
            most: limit.get("image").and_then(serde_json::Value::as_u64).map_or(usize::MAX, |most| most as usize),
            sizes,
        })
    }
}

/// `{(256, 256, 1): 0.5, …}`, as Python writes it; the third number is frames, and only images are made here.
fn sizes(text: &str) -> Result<Vec<([u32; 2], f64)>, String> {
    let wrong = || "expected {(HEIGHT, WIDTH, FRAMES): SHARE, …}".to_owned();
    let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(wrong)?;
    let mut all = Vec::new();
    for part in inner.split('(').skip(1) {
        let (size, share) = part.split_once(')').ok_or_else(wrong)?;
        let numbers: Vec<u32> =
            size.split(',').map(|number| number.trim().parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let share: f64 =
            share.trim().trim_start_matches(':').trim().trim_end_matches(',').trim().parse().map_err(|_| wrong())?;
        match numbers.as_slice() {
            [height, width, frames] if *height > 0 && *width > 0 && share >= 0.0 => {
                if *frames > 1 && share > 0.0 {
                    return Err("only images can be made here (FRAMES 1), no videos".into());
                }
                all.push(([*height, *width], share));
            }
            _ => return Err(wrong()),
        }
    }
    if all.iter().map(|(_, share)| share).sum::<f64>() > 0.0 { Ok(all) } else { Err(wrong()) }
}
