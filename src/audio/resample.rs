//! Changes of rate that keep the clock: continuous over any number of pushes, and without the filter's delay.

use rubato::{Fft, FixedSync, Resampler as _, WindowFunction, audioadapter_buffers::direct::SequentialSlice};

use super::Error;

/// The lowest and the highest rate that a file or a voice may have, in Hz.
pub const RATES_HZ: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// Samples of one block on the side with the lower rate. 160 are 10 ms at 16 kHz: more would cut less off the top of the
/// spectrum (here it ends at 95 %), but every sample waits for its block to fill, and half a block more in the filter.
const BLOCK_SAMPLES: usize = 160;

/// A stream of mono samples from one rate to another.
///
/// However the input is cut into pushes, the output is the same; output sample `n` lies at the time of input sample
/// `n · in / out`, and after [`flush`](Self::flush) there are exactly `ceil(inputs · out / in)` of them. Buffers are
/// allocated once. Output comes up to one and a half blocks late: 15 ms at most rates, 30 ms from
/// 44.1 kHz and 60 ms from 22.05 kHz to 16 kHz, where the ratio is awkward.
#[derive(Debug)]
pub struct Resampler {
    in_hz: u32,
    out_hz: u32,
    /// None where the rates are equal.
    filter: Option<Filter>,
}

#[derive(Debug)]
struct Filter {
    fft: Fft<f32>,
    /// Input that does not fill a block yet.
    pending: Vec<f32>,
    block: Vec<f32>,
    /// Leading output still to be dropped: the filter's delay.
    trim: usize,
    inputs: u64,
    outputs: u64,
}

impl Resampler {
    /// A resampler between two rates of [`RATES_HZ`].
    pub fn new(in_hz: u32, out_hz: u32) -> Result<Self, Error> {
        for rate_hz in [in_hz, out_hz] {
            if !RATES_HZ.contains(&rate_hz) {
                return Err(Error::RateOutOfRange { rate_hz });
            }
        }
        let filter = if in_hz == out_hz { None } else { Some(Filter::new(in_hz, out_hz)?) };
        Ok(Self { in_hz, out_hz, filter })
    }

    /// The rate of the input.
    pub const fn in_hz(&self) -> u32 {
        self.in_hz
    }

    /// Takes `input` and appends to `out` what is ready.
    pub fn push(&mut self, input: &[f32], out: &mut Vec<f32>) -> Result<(), Error> {
        match &mut self.filter {
            Some(filter) => filter.push(input, out),
            None => {
                out.extend_from_slice(input);
                Ok(())
            }
        }
    }

    /// Ends the stream: appends what is still inside, and starts anew.
    pub fn flush(&mut self, out: &mut Vec<f32>) -> Result<(), Error> {
        let Some(filter) = &mut self.filter else { return Ok(()) };
        let wanted = (filter.inputs * u64::from(self.out_hz)).div_ceil(u64::from(self.in_hz));
        let start = out.len();
        let missing = usize::try_from(wanted.saturating_sub(filter.outputs)).unwrap_or(0);
        while out.len() - start < missing {
            filter.pending.resize(filter.fft.fft_size_in(), 0.0);
            filter.run(None, out)?;
        }
        out.truncate(start + missing);
        filter.reset();
        Ok(())
    }

    /// Forgets the stream so far.
    pub fn reset(&mut self) {
        if let Some(filter) = &mut self.filter {
            filter.reset();
        }
    }
}

impl Filter {
    fn new(in_hz: u32, out_hz: u32) -> Result<Self, Error> {
        let (in_hz, out_hz) = (in_hz as usize, out_hz as usize);
        let chunk = chunk_samples(in_hz, out_hz);
        let window = WindowFunction::BlackmanHarris;
        let fft = Fft::new_custom(in_hz, out_hz, chunk, 1, 1, window, FixedSync::Both).map_err(Error::broken)?;
        let pending = Vec::with_capacity(fft.fft_size_in());
        let block = vec![0.0; fft.fft_size_out()];
        let trim = fft.output_delay();
        Ok(Self { fft, pending, block, trim, inputs: 0, outputs: 0 })
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.pending.clear();
        self.trim = self.fft.output_delay();
        (self.inputs, self.outputs) = (0, 0);
    }

    fn push(&mut self, mut input: &[f32], out: &mut Vec<f32>) -> Result<(), Error> {
        let size = self.fft.fft_size_in();
        self.inputs += input.len() as u64;
        while self.pending.len() + input.len() >= size {
            if self.pending.is_empty() {
                let (block, rest) = input.split_at(size);
                self.run(Some(block), out)?;
                input = rest;
            } else {
                let (head, rest) = input.split_at(size - self.pending.len());
                self.pending.extend_from_slice(head);
                self.run(None, out)?;
                input = rest;
            }
        }
        self.pending.extend_from_slice(input);
        Ok(())
    }

    /// One block through the filter: the given one, or the pending one.
    fn run(&mut self, block: Option<&[f32]>, out: &mut Vec<f32>) -> Result<(), Error> {
        let input = block.unwrap_or(&self.pending);
        let input = SequentialSlice::new(input, 1, input.len()).map_err(Error::broken)?;
        let (channels, frames) = (1, self.block.len());
        let mut output = SequentialSlice::new_mut(&mut self.block, channels, frames).map_err(Error::broken)?;
        self.fft.process_into_buffer(&input, &mut output, None).map_err(Error::broken)?;
        if block.is_none() {
            self.pending.clear();
        }
        let trimmed = self.trim.min(self.block.len());
        self.trim -= trimmed;
        self.outputs += (self.block.len() - trimmed) as u64;
        out.extend_from_slice(&self.block[trimmed..]);
        Ok(())
    }
}

/// Input samples of one block: the shortest that has [`BLOCK_SAMPLES`] on its shorter side, and an even number on both, for
/// the filter's delay is half a block and must be a whole number of samples.
fn chunk_samples(in_hz: usize, out_hz: usize) -> usize {
    let (mut divisor, mut rest) = (in_hz, out_hz);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let (in_unit, out_unit) = (in_hz / divisor, out_hz / divisor);
    let mut units = BLOCK_SAMPLES.div_ceil(in_unit.min(out_unit));
    if (units * in_unit) % 2 == 1 || (units * out_unit) % 2 == 1 {
        units += 1;
    }
    units * in_unit
}

/// From whatever rate comes to one rate. A change of rate ends the stream before it and begins another one.
#[derive(Debug)]
pub(super) struct AnyRate {
    out_hz: u32,
    current: Option<Resampler>,
}

impl AnyRate {
    pub(super) const fn new(out_hz: u32) -> Self {
        Self { out_hz, current: None }
    }

    pub(super) fn push(&mut self, rate_hz: u32, input: &[f32], out: &mut Vec<f32>) -> Result<(), Error> {
        if self.current.as_ref().is_none_or(|resampler| resampler.in_hz() != rate_hz) {
            let next = Resampler::new(rate_hz, self.out_hz)?;
            self.flush(out)?;
            self.current = Some(next);
        }
        self.current.as_mut().map_or(Ok(()), |resampler| resampler.push(input, out))
    }

    pub(super) fn flush(&mut self, out: &mut Vec<f32>) -> Result<(), Error> {
        self.current.as_mut().map_or(Ok(()), |resampler| resampler.flush(out))
    }
}
