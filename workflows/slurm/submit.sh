#!/bin/bash
# Submits an array of shards, and a job that merges what they have written into a folder when all are done:
#
#     bash submit.sh SHARDS FOLDER OPTION...
#     bash submit.sh 8 results --project P.ilp --raw_data … --table_filename results/objects.csv
#
# Options of sbatch are given as its variables, such as SBATCH_PARTITION and SBATCH_ACCOUNT.

set -euo pipefail

if (($# < 3)); then
    echo "submit.sh: expected the number of shards, the folder of the table, and options of objclass" >&2
    exit 2
fi
shards=$1 folder=$2
shift 2

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
array=$(sbatch --parsable --array="1-$shards" "$here/objclass_array.sh" "$@")
array=${array%%;*} # the name of the cluster may follow
merge=$(sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes "$here/objclass_merge.sh" "$shards" "$folder")
echo "array of $shards shards: job $array; merge: job ${merge%%;*}"
