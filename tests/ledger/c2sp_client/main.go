// Command c2sp reads a published log as any C2SP tlog-tiles client does, with the ecosystem's own libraries:
// checkpoint and Ed25519 signature, every entry's inclusion, consistency from an older note, one tlog-proof file.
// It prints one JSON object; the first thing that does not verify ends it with 1.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/transparency-dev/formats/log"
	formats "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
)

const bundleWidth = 256

func main() {
	place := flag.String("url", "", "where the log is published, ending in a slash")
	vkey := flag.String("vkey", "", "the log's Ed25519 key (C2SP signed-note)")
	origin := flag.String("origin", "", "the log's name")
	old := flag.String("old", "", "file with an older note of the log")
	proofFile := flag.String("proof", "", "a tlog-proof file")
	step := flag.Uint64("step", 1, "check every so manieth entry")
	flag.Parse()
	told, err := check(context.Background(), *place, *vkey, *origin, *old, *proofFile, *step)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		os.Exit(1)
	}
}

func check(ctx context.Context, place, vkey, origin, old, proofFile string, step uint64) (map[string]any, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("vkey: %w", err)
	}
	address, err := url.Parse(place)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	fetcher, err := client.NewHTTPFetcher(address, http.DefaultClient)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	newest, _, _, err := client.FetchCheckpoint(ctx, fetcher.ReadCheckpoint, verifier, origin)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	proofs, err := client.NewProofBuilder(ctx, newest.Size, fetcher.ReadTile)
	if err != nil {
		return nil, fmt.Errorf("tiles: %w", err)
	}
	included := 0
	for index := uint64(0); index < newest.Size; index += step {
		path, err := proofs.InclusionProof(ctx, index)
		if err != nil {
			return nil, fmt.Errorf("inclusion of %d: %w", index, err)
		}
		if err := verify(ctx, fetcher, newest.Size, index, newest, path); err != nil {
			return nil, fmt.Errorf("inclusion of %d: %w", index, err)
		}
		included++
	}
	oldNote, err := os.ReadFile(old)
	if err != nil {
		return nil, err
	}
	agreed := client.UnilateralConsensus(fetcher.ReadCheckpoint)
	tracker, err := client.NewLogStateTracker(ctx, fetcher.ReadTile, oldNote, verifier, origin, agreed)
	if err != nil {
		return nil, fmt.Errorf("older note: %w", err)
	}
	from := tracker.Latest().Size
	if _, _, _, err := tracker.Update(ctx); err != nil {
		return nil, fmt.Errorf("consistency: %w", err)
	}
	data, err := os.ReadFile(proofFile)
	if err != nil {
		return nil, err
	}
	var file formats.TLogProof
	if err := file.Unmarshal(data); err != nil {
		return nil, fmt.Errorf("proof file: %w", err)
	}
	if !bytes.Equal(file.Marshal(), data) {
		return nil, errors.New("proof file: not the form this library writes")
	}
	under, _, _, err := log.ParseCheckpoint(file.Checkpoint, origin, verifier)
	if err != nil {
		return nil, fmt.Errorf("proof file: %w", err)
	}
	path := make([][]byte, len(file.Hashes))
	for at := range file.Hashes {
		path[at] = file.Hashes[at][:]
	}
	if err := verify(ctx, fetcher, newest.Size, file.Index, under, path); err != nil {
		return nil, fmt.Errorf("proof file: %w", err)
	}
	return map[string]any{"size": newest.Size, "included": included, "from": from, "to": tracker.Latest().Size, "proof": file.Index}, nil
}

func verify(ctx context.Context, fetcher *client.HTTPFetcher, size, index uint64, under *log.Checkpoint, path [][]byte) error {
	bundle, err := client.GetEntryBundle(ctx, fetcher.ReadEntryBundle, index/bundleWidth, size)
	if err != nil {
		return err
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[index%bundleWidth])
	return proof.VerifyInclusion(rfc6962.DefaultHasher, index, under.Size, leaf, path, under.Hash)
}
