"""The edge to Ray Tune: searcher, domains, trials and the run itself."""
