#!/bin/bash
#SBATCH --job-name=objclass
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --output=objclass-%A_%a.log
#SBATCH --signal=B:TERM@120

# One shard of a run for each job of an array; takes the options of objclass --headless:
#
#     sbatch --array=1-8 objclass_array.sh --project P.ilp --raw_data … --table_filename results/objects.csv
#
# 120 seconds before its time is over, objclass is asked to stop. Submitted again, it goes on where it was.

set -euo pipefail

# The number of threads is that of --cpus-per-task. Of the memory (in MB), a fifth is left to the system.
exec objclass --headless --shard auto --resume \
    ${SLURM_MEM_PER_NODE:+--max_memory "$((SLURM_MEM_PER_NODE * 8 / 10))MB"} "$@"
