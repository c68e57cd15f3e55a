//! Resolving derivations: outputs of inputs become store paths, once they are known.

use std::collections::BTreeMap;

use memchr::memmem;
use nix_formats::derivation::{DerivationError, DerivationKind, Placeholder};
use nix_formats::{Derivation, StoreDir, StorePath};

/// The paths of outputs, by derivation and name.
pub(super) type OutputPaths = BTreeMap<StorePath, BTreeMap<String, StorePath>>;

/// A derivation without inputs that are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) path: StorePath,
    pub(super) derivation: Derivation,
    /// The text of its file.
    pub(super) aterm: Vec<u8>,
}

/// Whether the outputs' paths, or the placeholders of inputs, are known only once the inputs are.
pub(super) fn must_resolve(derivation: &Derivation, inputs_have_placeholders: bool) -> bool {
    if derivation.input_derivations.is_empty() {
        return false;
    }
    match derivation.kind() {
        Ok(DerivationKind::Deferred | DerivationKind::Floating | DerivationKind::Impure) => true,
        Ok(DerivationKind::FixedOutput) => inputs_have_placeholders,
        Ok(DerivationKind::InputAddressed) | Err(_) => false,
    }
}

/// The paths of a derivation's inputs: its sources, and the outputs that it needs. None if one of these is not known.
pub(super) fn inputs(derivation: &Derivation, outputs: &OutputPaths) -> Option<Vec<StorePath>> {
    let mut inputs: Vec<StorePath> = derivation.input_sources.iter().cloned().collect();
    for (input, names) in &derivation.input_derivations {
        let known = outputs.get(input)?;
        for name in &names.names {
            inputs.push(known.get(name)?.clone());
        }
    }
    inputs.sort();
    inputs.dedup();
    Some(inputs)
}

/// The derivation with paths in place of its inputs' outputs, and of what stands for them in its texts. `outputs` has all of
/// them.
pub(super) fn resolve(
    derivation: &Derivation,
    outputs: &OutputPaths,
    store_dir: &StoreDir,
) -> Result<Resolved, DerivationError> {
    let mut resolved = derivation.clone();
    let inputs = std::mem::take(&mut resolved.input_derivations);
    let mut rewrites = Vec::new();
    for (input, names) in &inputs {
        for name in &names.names {
            let path = outputs.get(input).and_then(|known| known.get(name));
            let path = path.ok_or_else(|| DerivationError::NoSuchOutput {
                output: name.clone(),
                derivation: input.clone(),
            })?;
            let placeholder = Placeholder::unknown_ca_output(input, name).render();
            rewrites.push((placeholder, store_dir.print(path)));
            resolved.input_sources.insert(path.clone());
        }
    }
    let rewrite = |text: &[u8]| rewritten(text, &rewrites);
    resolved.builder = rewrite(&resolved.builder);
    resolved.args = resolved.args.iter().map(|arg| rewrite(arg)).collect();
    let env = std::mem::take(&mut resolved.env).into_iter();
    resolved.env = env
        .map(|(name, value)| (rewrite(&name), rewrite(&value)))
        .collect();
    if let Some(json) = &resolved.structured_attrs {
        let json = rewrite(json.as_bytes());
        // Only ASCII was put in place of ASCII.
        resolved.structured_attrs = Some(String::from_utf8_lossy(&json).into_owned());
    }
    let none = |input: &StorePath| Err(DerivationError::NoInputOutputs(input.clone()));
    let done = resolved.instantiate(store_dir, none)?;
    Ok(Resolved {
        path: done.path,
        aterm: done.aterm,
        derivation: resolved,
    })
}

fn rewritten(text: &[u8], rewrites: &[(String, String)]) -> Vec<u8> {
    // All placeholders begin so, and few texts have any.
    if memchr::memchr(b'/', text).is_none() {
        return text.to_vec();
    }
    let mut text = text.to_vec();
    for (placeholder, path) in rewrites {
        let places: Vec<usize> = memmem::find_iter(&text, placeholder).collect();
        if places.is_empty() {
            continue;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut end = 0;
        for place in places {
            out.extend_from_slice(&text[end..place]);
            out.extend_from_slice(path.as_bytes());
            end = place + placeholder.len();
        }
        out.extend_from_slice(&text[end..]);
        text = out;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str, text: &str) -> (StorePath, Derivation) {
        let path = StorePath::from_base_name(path).unwrap();
        let name = path.name().strip_suffix(".drv").unwrap();
        let derivation =
            Derivation::parse_aterm(&StoreDir::default(), name, text.as_bytes()).unwrap();
        (path, derivation)
    }

    /// As Nix 2.34.8 resolved it when it built it.
    #[test]
    fn derivations_are_resolved_as_nix_does() {
        let (path, derivation) = parse(
            "i034q4122n77dg5fv0x0w8nr2zxl9zz8-causer.drv",
            r#"Derive([("out","","","")],[("/nix/store/qrzxvj7gpcc55s6cixahari3cycw0qx5-ca.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","echo $c > $out"],[("builder","/bin/sh"),("c","/0p8sb26lv1cghnxxdd612z42wz6acmyhqwpwmv574vfrjq6p72zq"),("name","causer"),("out",""),("system","x86_64-linux")])"#,
        );
        assert!(must_resolve(&derivation, true));
        let input = StorePath::from_base_name("qrzxvj7gpcc55s6cixahari3cycw0qx5-ca.drv").unwrap();
        let output = StorePath::from_base_name("jg3iyw19sm3aqibd9m0bpimiz60gk2nl-ca").unwrap();
        let known: OutputPaths = [(input, [("out".to_owned(), output.clone())].into())].into();
        assert_eq!(inputs(&derivation, &OutputPaths::new()), None);
        assert_eq!(inputs(&derivation, &known), Some(vec![output]));
        assert!(resolve(&derivation, &OutputPaths::new(), &StoreDir::default()).is_err());
        let resolved = resolve(&derivation, &known, &StoreDir::default()).unwrap();
        assert_eq!(
            resolved.path.base_name(),
            "44r15qp3hx522xqaf9szcv8j812p14b7-causer.drv"
        );
        assert_eq!(
            String::from_utf8(resolved.aterm).unwrap(),
            r#"Derive([("out","/nix/store/qmajf1gl25gwikfmv34rpi4wkghyzr3w-causer","","")],[],["/nix/store/jg3iyw19sm3aqibd9m0bpimiz60gk2nl-ca"],"x86_64-linux","/bin/sh",["-c","echo $c > $out"],[("builder","/bin/sh"),("c","/nix/store/jg3iyw19sm3aqibd9m0bpimiz60gk2nl-ca"),("name","causer"),("out","/nix/store/qmajf1gl25gwikfmv34rpi4wkghyzr3w-causer"),("system","x86_64-linux")])"#
        );
        assert_ne!(resolved.path, path);
        assert!(!must_resolve(&resolved.derivation, true));
    }
}
