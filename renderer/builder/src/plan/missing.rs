//! A plan as Nix tells it before it builds, and for `--dry-run`.

use std::fmt::Write as _;

use nix_formats::StoreDir;

use super::Plan;

impl Plan {
    /// The lines that Nix prints: what is built, what is fetched, what is unknown.
    pub fn lines(&self, store_dir: &StoreDir) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(out, "{text}");
        };
        match self.builds.len() {
            0 => {}
            1 => line(format_args!("this derivation will be built:")),
            count => line(format_args!("these {count} derivations will be built:")),
        }
        for build in &self.builds {
            line(format_args!("  {}", store_dir.print(&build.path)));
        }
        let sizes = format!(
            "({} download, {} unpacked)",
            render_size(self.download_size),
            render_size(self.nar_size)
        );
        match self.fetches.len() {
            0 => {}
            1 => line(format_args!("this path will be fetched {sizes}:")),
            count => line(format_args!("these {count} paths will be fetched {sizes}:")),
        }
        for fetch in &self.fetches {
            line(format_args!("  {}", store_dir.print(&fetch.path)));
        }
        if !self.unknown.is_empty() {
            line(format_args!("don't know how to build these paths:"));
        }
        for path in &self.unknown {
            line(format_args!("  {}", store_dir.print(path)));
        }
        out
    }
}

/// A number of bytes as Nix prints it: in KiB, or in the largest unit that leaves more than 1024 of none below it.
pub fn render_size(bytes: u64) -> String {
    let (mut left, mut power) = (bytes, 0);
    while left > 1024 && power < UNITS.len() {
        left /= 1024;
        power += 1;
    }
    let power = power.max(1);
    let value = bytes as f64 / 1024_f64.powi(power as i32);
    format!("{value:.1} {}iB", UNITS[power - 1])
}

const UNITS: [char; 8] = ['K', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];

#[cfg(test)]
mod tests {
    use super::render_size;

    /// As Nix 2.34 has it.
    #[test]
    fn sizes_are_rendered_as_nix_does() {
        for (bytes, text) in [
            (0, "0.0 KiB"),
            (100, "0.1 KiB"),
            (1024, "1.0 KiB"),
            (1 << 20, "1024.0 KiB"),
            ((1 << 20) + 1024, "1.0 MiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(render_size(bytes), text);
        }
    }
}
