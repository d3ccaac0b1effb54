#!/bin/bash
#SBATCH --job-name=objclass-merge
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=01:00:00
#SBATCH --output=objclass-merge-%j.log

# Merges the tables, summaries, reports and run files that the shards of a run have written into a folder:
#
#     sbatch --dependency=afterok:JOB objclass_merge.sh SHARDS FOLDER

set -euo pipefail
shards=$1 folder=$2

exec objclass merge --overwrite "$folder"/*.shard-*-of-"$shards".*
