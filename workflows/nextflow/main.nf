// A folder of images in; class images, and one table out:
//
//     nextflow run workflows/nextflow/main.nf --images 'images/*_{raw,segmentation}.tif' --project cells.ilp --outdir results
//
// Each image is a task. See docs/how-to/workflows.md.

include { OBJCLASS_CLASSIFY } from './objclass/classify/main'

params.images = null
params.project = null
params.outdir = 'results'

workflow {
    // [ id, [ raw, segmentation ] ], in the order of the alphabet
    images = channel
        .fromFilePairs(params.images, checkIfExists: true)
        .map { id, files -> [[id: id], files[0], files[1]] }
    project = [[id: 'project'], file(params.project, checkIfExists: true)]

    OBJCLASS_CLASSIFY(images, project, 'segmentation_image')

    OBJCLASS_CLASSIFY.out.table
        .map { _meta, table -> table }
        .collectFile(name: 'objects.csv', storeDir: params.outdir, keepHeader: true, skip: 1, sort: { table -> table.name })
}
