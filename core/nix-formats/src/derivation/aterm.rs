//! Printing the text form: one pass into one buffer.

use data_encoding::HEXLOWER;

use super::modulo::InputHashes;
use super::{Derivation, DerivationOutput, InputOutputs, STRUCTURED_ATTRS_VARIABLE};
use crate::hash::HashFormat;
use crate::store_path::{StoreDir, StorePathError};

/// What stands in the list of input derivations.
pub(super) enum Inputs<'a> {
    /// Their paths.
    Paths,
    /// Their hashes modulo.
    Hashes(&'a InputHashes<'a>),
}

impl Derivation {
    /// The text form, the contents of the `.drv` file.
    ///
    /// Fails only if the path of a fixed output can't be computed.
    pub fn to_aterm(&self, store_dir: &StoreDir) -> Result<Vec<u8>, StorePathError> {
        self.print(store_dir, &Inputs::Paths)
    }

    /// The text form.
    pub(super) fn print(
        &self,
        store_dir: &StoreDir,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<u8>, StorePathError> {
        let mut printer = Printer::new(store_dir);
        self.print_outputs(&mut printer, false, inputs)?;
        self.print_inputs(&mut printer, inputs);
        self.print_rest(&mut printer, false);
        Ok(printer.out)
    }

    /// Up to the list of input derivations.
    fn print_outputs(
        &self,
        out: &mut Printer<'_>,
        mask: bool,
        inputs: &Inputs<'_>,
    ) -> Result<(), StorePathError> {
        let dynamic = matches!(inputs, Inputs::Paths) && self.has_dynamic_inputs();
        out.raw(if dynamic {
            "DrvWithVersion(\"xp-dyn-drv\",["
        } else {
            "Derive(["
        });
        for (index, (name, output)) in self.outputs.iter().enumerate() {
            out.open(index);
            out.quoted(name.as_bytes());
            self.print_output(out, name, output, mask)?;
            out.raw(")");
        }
        out.raw("],[");
        Ok(())
    }

    fn print_inputs(&self, out: &mut Printer<'_>, inputs: &Inputs<'_>) {
        match inputs {
            Inputs::Paths => {
                for (index, (path, outputs)) in self.input_derivations.iter().enumerate() {
                    out.open(index);
                    out.raw("\"");
                    out.store_dir.print_to(path, &mut out.out);
                    out.raw("\",");
                    out.input_outputs(outputs);
                    out.raw(")");
                }
            }
            Inputs::Hashes(hashes) => {
                for (index, (hash, names)) in hashes.iter().enumerate() {
                    out.open(index);
                    out.quoted(HEXLOWER.encode(hash).as_bytes());
                    out.raw(",");
                    out.names(names.iter().copied());
                    out.raw(")");
                }
            }
        }
    }

    /// What comes behind the list of input derivations.
    fn print_rest(&self, out: &mut Printer<'_>, mask: bool) {
        out.raw("],[");
        for (index, path) in self.input_sources.iter().enumerate() {
            out.raw(if index == 0 { "\"" } else { ",\"" });
            out.store_dir.print_to(path, &mut out.out);
            out.raw("\"");
        }
        out.raw("],");
        out.quoted(&self.platform);
        out.raw(",");
        out.escaped(&self.builder);
        out.raw(",[");
        for (index, argument) in self.args.iter().enumerate() {
            if index > 0 {
                out.raw(",");
            }
            out.escaped(argument);
        }
        out.raw("],[");
        self.print_env(out, mask);
        out.raw("])");
    }

    /// The text form with hashes for inputs and no paths of outputs, ready to
    /// be turned into the others.
    pub(super) fn print_masked<'d>(
        &self,
        store_dir: &'d StoreDir,
        inputs: &InputHashes<'_>,
    ) -> Result<MaskedText<'d>, StorePathError> {
        let inputs = Inputs::Hashes(inputs);
        let mut parts = [(); 3].map(|()| Printer::new(store_dir));
        let [outputs, hashes, rest] = &mut parts;
        self.print_outputs(outputs, true, &inputs)?;
        self.print_inputs(hashes, &inputs);
        self.print_rest(rest, true);
        let holes = std::mem::take(&mut rest.holes);
        let [outputs, hashes, rest] = parts.map(|printer| printer.out);
        Ok(MaskedText {
            store_dir,
            outputs,
            hashes,
            rest,
            holes,
        })
    }

    fn print_output(
        &self,
        out: &mut Printer<'_>,
        name: &str,
        output: &DerivationOutput,
        mask: bool,
    ) -> Result<(), StorePathError> {
        if !mask && let Some(path) = output.path(out.store_dir, &self.name, name)? {
            out.raw(",\"");
            out.store_dir.print_to(&path, &mut out.out);
            out.raw("\"");
        } else {
            out.raw(",\"\"");
        }
        match output {
            DerivationOutput::InputAddressed(_) | DerivationOutput::Deferred => {
                out.raw(",\"\",\"\"");
            }
            DerivationOutput::FixedOutput(ca) => {
                out.raw(",");
                out.quoted(ca.method_and_algorithm().as_bytes());
                out.raw(",");
                out.quoted(ca.hash.to_string(HashFormat::Base16, false).as_bytes());
            }
            DerivationOutput::Floating { method, algorithm }
            | DerivationOutput::Impure { method, algorithm } => {
                out.raw(",\"");
                out.raw(method.prefix());
                out.raw(algorithm.name());
                let impure = matches!(output, DerivationOutput::Impure { .. });
                out.raw(if impure { "\",\"impure\"" } else { "\",\"\"" });
            }
        }
        Ok(())
    }

    fn print_env(&self, out: &mut Printer<'_>, mask: bool) {
        let mut index = 0;
        let mut structured = self
            .structured_attrs
            .as_ref()
            .map(|json| (STRUCTURED_ATTRS_VARIABLE, json.as_bytes()));
        for (name, value) in &self.env {
            if let Some((structured_name, json)) = structured
                && structured_name <= name.as_slice()
            {
                out.pair(index, structured_name, json);
                index += 1;
                structured = None;
                if structured_name == name.as_slice() {
                    continue;
                }
            }
            let output = std::str::from_utf8(name)
                .ok()
                .filter(|name| mask && self.outputs.contains_key(*name));
            if let Some(output) = output {
                out.pair(index, name, b"");
                out.holes
                    .push((out.out.len() - "\")".len(), output.to_owned()));
            } else {
                out.pair(index, name, value);
            }
            index += 1;
        }
        if let Some((name, json)) = structured {
            out.pair(index, name, json);
        }
    }
}

/// A derivation's text whose outputs have no paths yet. Most of it is the same
/// in all its forms, and is printed once.
pub(super) struct MaskedText<'d> {
    store_dir: &'d StoreDir,
    outputs: Vec<u8>,
    hashes: Vec<u8>,
    rest: Vec<u8>,
    /// Where in `rest` the path of which output belongs.
    holes: Vec<(usize, String)>,
}

impl MaskedText<'_> {
    /// The hash that the outputs' paths are made from.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256([&self.outputs, &self.hashes, &self.rest])
    }

    /// The hash modulo and the contents of the `.drv` file, now that
    /// `derivation` has the paths of its outputs.
    pub(super) fn fill(
        self,
        derivation: &Derivation,
    ) -> Result<([u8; 32], Vec<u8>), StorePathError> {
        let mut outputs = Printer::new(self.store_dir);
        derivation.print_outputs(&mut outputs, false, &Inputs::Paths)?;
        let mut rest = Vec::with_capacity(self.rest.len() + 128 * self.holes.len());
        let mut start = 0;
        for (hole, name) in self.holes {
            rest.extend_from_slice(&self.rest[start..hole]);
            if let Some(value) = derivation.env.get(name.as_bytes()) {
                rest.extend_from_slice(value);
            }
            start = hole;
        }
        rest.extend_from_slice(&self.rest[start..]);
        let modulo = sha256([&outputs.out, &self.hashes, &rest]);
        derivation.print_inputs(&mut outputs, &Inputs::Paths);
        outputs.out.extend_from_slice(&rest);
        Ok((modulo, outputs.out))
    }
}

fn sha256(parts: [&Vec<u8>; 3]) -> [u8; 32] {
    use sha2::Digest;
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

struct Printer<'a> {
    out: Vec<u8>,
    store_dir: &'a StoreDir,
    /// Where the path of which output was left out.
    holes: Vec<(usize, String)>,
}

impl<'a> Printer<'a> {
    fn new(store_dir: &'a StoreDir) -> Self {
        Self {
            out: Vec::with_capacity(1024),
            store_dir,
            holes: Vec::new(),
        }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn open(&mut self, index: usize) {
        self.raw(if index == 0 { "(" } else { ",(" });
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.push(b'"');
        self.out.extend_from_slice(text);
        self.out.push(b'"');
    }

    fn escaped(&mut self, mut text: &[u8]) {
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        while let Some(index) = text.iter().position(|&byte| needs_escape(byte)) {
            self.out.extend_from_slice(&text[..index]);
            self.out.extend_from_slice(&[b'\\', escape(text[index])]);
            text = &text[index + 1..];
        }
        self.out.extend_from_slice(text);
        self.out.push(b'"');
    }

    fn pair(&mut self, index: usize, name: &[u8], value: &[u8]) {
        self.open(index);
        self.escaped(name);
        self.raw(",");
        self.escaped(value);
        self.raw(")");
    }

    fn names<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        self.raw("[");
        for (index, name) in names.enumerate() {
            if index > 0 {
                self.raw(",");
            }
            self.quoted(name.as_bytes());
        }
        self.raw("]");
    }

    fn input_outputs(&mut self, outputs: &InputOutputs) {
        let names = outputs.names.iter().map(String::as_str);
        if outputs.dynamic.is_empty() {
            return self.names(names);
        }
        self.raw("(");
        self.names(names);
        self.raw(",[");
        for (index, (name, outputs)) in outputs.dynamic.iter().enumerate() {
            self.open(index);
            self.quoted(name.as_bytes());
            self.raw(",");
            self.input_outputs(outputs);
            self.raw(")");
        }
        self.raw("])");
    }
}

/// Whether a byte can't stand in a string as it is.
pub(super) const fn needs_escape(byte: u8) -> bool {
    escape(byte) != 0
}

/// The letter behind the backslash; 0 for what needs none.
const fn escape(byte: u8) -> u8 {
    const ESCAPES: [u8; 256] = {
        let mut escapes = [0; 256];
        escapes[b'"' as usize] = b'"';
        escapes[b'\\' as usize] = b'\\';
        escapes[b'\n' as usize] = b'n';
        escapes[b'\r' as usize] = b'r';
        escapes[b'\t' as usize] = b't';
        escapes
    };
    ESCAPES[byte as usize]
}
